// Runs golang.org/x/oauth2 against the issuer's standard endpoints: the client knows no dialect.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"

	"golang.org/x/oauth2"
	"golang.org/x/oauth2/clientcredentials"
)

var failed = false

func that(sentence string, holds bool, seen any) {
	if holds {
		fmt.Printf("ok golang.org/x/oauth2: %s\n", sentence)
		return
	}
	failed = true
	fmt.Printf("not ok golang.org/x/oauth2: %s: %v\n", sentence, seen)
}

func client(secret string, style oauth2.AuthStyle) *clientcredentials.Config {
	return &clientcredentials.Config{
		ClientID:     os.Getenv("MINTKEEP_APP"),
		ClientSecret: secret,
		TokenURL:     os.Getenv("MINTKEEP_TOKENS") + "/oauth2/token",
		AuthStyle:    style,
	}
}

// code of the standard's error answer; empty for any other.
func code(err error) string {
	var refused *oauth2.RetrieveError
	if errors.As(err, &refused) {
		return refused.ErrorCode
	}
	return ""
}

func main() {
	ctx, secret := context.Background(), os.Getenv("MINTKEEP_SECRET")
	styles := []struct {
		name  string
		style oauth2.AuthStyle
	}{{"Basic", oauth2.AuthStyleInHeader}, {"the form", oauth2.AuthStyleInParams}, {"whichever works", oauth2.AuthStyleAutoDetect}}
	first := ""
	for _, by := range styles {
		token, err := client(secret, by.style).Token(ctx)
		that("a token is obtained by "+by.name, err == nil && token.Valid() && token.Type() == "Bearer", err)
		if err == nil && first == "" {
			first = token.AccessToken
		}
		that("the same one again", err == nil && token.AccessToken == first, "another")
	}

	// Its own transport carries the token, to what a gateway asks.
	answer, err := client(secret, oauth2.AuthStyleInHeader).Client(ctx).Get(os.Getenv("MINTKEEP_PLATFORM") + "/authz")
	that("authz takes it", err == nil && answer.StatusCode == 204, err)

	_, err = client(secret+"x", oauth2.AuthStyleInHeader).Token(ctx)
	that("a wrong secret is invalid_client", code(err) == "invalid_client", err)
	web := oauth2.Config{ClientID: os.Getenv("MINTKEEP_APP"), ClientSecret: secret,
		Endpoint: oauth2.Endpoint{TokenURL: os.Getenv("MINTKEEP_TOKENS") + "/oauth2/token", AuthStyle: oauth2.AuthStyleInHeader}}
	_, err = web.Exchange(ctx, "dead")
	that("a dead code is invalid_grant", code(err) == "invalid_grant", err)
	_, err = web.TokenSource(ctx, &oauth2.Token{RefreshToken: "dead"}).Token()
	that("a dead refresh token is invalid_grant", code(err) == "invalid_grant", err)

	fmt.Println("done")
	if failed {
		os.Exit(1)
	}
}
