// Runs alibabacloud-go/dingtalk, the official client: endpoint and protocol are settings.
package main

import (
	"errors"
	"net/url"

	openapi "github.com/alibabacloud-go/darabonba-openapi/v2/client"
	oauth2 "github.com/alibabacloud-go/dingtalk/oauth2_1_0"
	util "github.com/alibabacloud-go/tea-utils/v2/service"
	"github.com/alibabacloud-go/tea/tea"
	"mintkeep/interop/checks"
)

func client(base string) *oauth2.Client {
	at, err := url.Parse(base)
	if err != nil {
		panic(err)
	}
	made, err := oauth2.NewClient(&openapi.Config{Protocol: &at.Scheme, RegionId: tea.String("central"), Endpoint: &at.Host})
	if err != nil {
		panic(err)
	}
	return made
}

func token(app, secret string) (string, int64, error) {
	answer, err := client(checks.Tokens).GetAccessToken(&oauth2.GetAccessTokenRequest{AppKey: &app, AppSecret: &secret})
	if err != nil {
		return "", 0, err
	}
	return tea.StringValue(answer.Body.AccessToken), tea.Int64Value(answer.Body.ExpireIn), nil
}

func ticket(token string) (string, error) {
	headers := &oauth2.CreateJsapiTicketHeaders{XAcsDingtalkAccessToken: &token}
	answer, err := client(checks.Platform).CreateJsapiTicketWithOptions(headers, &util.RuntimeOptions{})
	if err != nil {
		return "", err
	}
	return tea.StringValue(answer.Body.JsapiTicket), nil
}

func code(err error) string {
	var refused *tea.SDKError
	if errors.As(err, &refused) {
		return tea.StringValue(refused.Code)
	}
	return ""
}

func main() {
	c := checks.Checks{Client: "alibabacloud-go/dingtalk"}
	first, lives, err := token(checks.App, checks.Secret)
	c.That("a token is obtained", err == nil && first != "", err)
	c.That("its lifetime is a positive number", lives > 0 && lives <= 7200, lives)
	made, err := ticket(first)
	c.That("jsapiTickets takes it", err == nil && made != "", err)
	again, _, err := token(checks.App, checks.Secret)
	c.That("a repeat gives the same token", err == nil && again == first, err)
	answer, err := client(checks.Tokens).GetToken(tea.String("dingcorp"), &oauth2.GetTokenRequest{
		ClientId: &checks.App, ClientSecret: &checks.Secret, GrantType: tea.String("client_credentials"),
	})
	c.That("so does {corpId}/token", err == nil && tea.StringValue(answer.Body.AccessToken) == first, err)
	_, err = ticket("dead")
	c.That("a dead token is InvalidAuthentication", code(err) == "InvalidAuthentication", err)
	_, _, err = token(checks.App, checks.Secret+"x")
	c.That("a wrong secret is invalidClientIdOrSecret", code(err) == "invalidClientIdOrSecret", err)
	_, _, err = token("dingnobody", checks.Secret)
	c.That("an unknown app is invalidClientIdOrSecret", code(err) == "invalidClientIdOrSecret", err)
	c.Finish()
}
