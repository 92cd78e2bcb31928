module mintkeep/interop

go 1.18

require golang.org/x/oauth2 v0.21.0
