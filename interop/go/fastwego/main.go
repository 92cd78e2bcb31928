// Runs fastwego/offiaccount: its host is a variable of the package, one for the token and for the calls that take it.
package main

import (
	"strings"
	"time"

	"github.com/faabiosr/cachego/sync"
	"github.com/fastwego/offiaccount"
	"github.com/fastwego/offiaccount/apis/util"
	"mintkeep/interop/checks"
)

func client(secret string) *offiaccount.OffiAccount {
	made := offiaccount.New(offiaccount.Config{Appid: checks.App, Secret: secret})
	made.Logger = nil
	made.AccessToken.Cache = sync.New()
	return made
}

func main() {
	offiaccount.WXServerUrl = checks.Tokens
	c := checks.Checks{Client: "fastwego/offiaccount"}
	ours := client(checks.Secret)
	told, err := util.GetCallbackIp(ours)
	c.That("a token is obtained, and getcallbackip takes it", err == nil && strings.Contains(string(told), "ip_list"), err)
	err = ours.AccessToken.Cache.Save(checks.App, strings.Repeat("dead", 10), time.Hour)
	c.That("its copy is replaced by a dead token", err == nil, err)
	told, err = util.GetCallbackIp(ours)
	c.That("which heals itself", err == nil && strings.Contains(string(told), "ip_list"), err)
	_, err = util.GetCallbackIp(client(checks.Secret + "x"))
	c.That("a wrong secret is "+checks.WrongSecret, err != nil && strings.Contains(err.Error(), `"errcode":`+checks.WrongSecret), err)
	c.Finish()
}
