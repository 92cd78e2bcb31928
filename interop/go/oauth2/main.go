// Runs golang.org/x/oauth2 against the issuer's standard endpoints: the client knows no dialect.
package main

import (
	"context"
	"errors"

	"golang.org/x/oauth2"
	"golang.org/x/oauth2/clientcredentials"
	"mintkeep/interop/checks"
)

func client(secret string, style oauth2.AuthStyle) *clientcredentials.Config {
	return &clientcredentials.Config{
		ClientID:     checks.App,
		ClientSecret: secret,
		TokenURL:     checks.Tokens + "/oauth2/token",
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
	ctx, secret, c := context.Background(), checks.Secret, checks.Checks{Client: "golang.org/x/oauth2"}
	styles := []struct {
		name  string
		style oauth2.AuthStyle
	}{{"Basic", oauth2.AuthStyleInHeader}, {"the form", oauth2.AuthStyleInParams}, {"whichever works", oauth2.AuthStyleAutoDetect}}
	first := ""
	for _, by := range styles {
		token, err := client(secret, by.style).Token(ctx)
		c.That("a token is obtained by "+by.name, err == nil && token.Valid() && token.Type() == "Bearer", err)
		if err == nil && first == "" {
			first = token.AccessToken
		}
		c.That("the same one again", err == nil && token.AccessToken == first, "another")
	}

	// Its own transport carries the token, to what a gateway asks.
	answer, err := client(secret, oauth2.AuthStyleInHeader).Client(ctx).Get(checks.Platform + "/authz")
	c.That("authz takes it", err == nil && answer.StatusCode == 204, err)

	_, err = client(secret+"x", oauth2.AuthStyleInHeader).Token(ctx)
	c.That("a wrong secret is invalid_client", code(err) == "invalid_client", err)
	web := oauth2.Config{ClientID: checks.App, ClientSecret: secret,
		Endpoint: oauth2.Endpoint{TokenURL: checks.Tokens + "/oauth2/token", AuthStyle: oauth2.AuthStyleInHeader}}
	_, err = web.Exchange(ctx, "dead")
	c.That("a dead code is invalid_grant", code(err) == "invalid_grant", err)
	_, err = web.TokenSource(ctx, &oauth2.Token{RefreshToken: "dead"}).Token()
	c.That("a dead refresh token is invalid_grant", code(err) == "invalid_grant", err)

	c.Finish()
}
