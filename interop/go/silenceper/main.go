// Runs silenceper/wechat against both token endpoints of WeChat: its host is written into it, its addresses can be modified.
package main

import (
	"fmt"
	"strings"

	"github.com/silenceper/wechat/v2"
	"github.com/silenceper/wechat/v2/cache"
	"github.com/silenceper/wechat/v2/credential"
	"github.com/silenceper/wechat/v2/officialaccount"
	"github.com/silenceper/wechat/v2/officialaccount/config"
	"github.com/silenceper/wechat/v2/util"
	"mintkeep/interop/checks"
)

func account(app, secret string) *officialaccount.OfficialAccount {
	return wechat.NewWechat().GetOfficialAccount(&config.Config{AppID: app, AppSecret: secret, Cache: cache.NewMemory()})
}

// stable is the same account, its token from stable_token.
func stable(app, secret string) *officialaccount.OfficialAccount {
	made := account(app, secret)
	made.SetAccessTokenHandle(credential.NewStableAccessToken(app, secret, credential.CacheKeyOfficialAccountPrefix, cache.NewMemory()))
	return made
}

// says: the client's errors are texts, with the code in them.
func says(err error, code string) bool {
	return err != nil && strings.Contains(err.Error(), "errcode="+code+" ")
}

func main() {
	util.SetURIModifier(func(uri string) string {
		base := checks.Platform
		if strings.Contains(uri, "token?") || strings.HasSuffix(uri, "stable_token") {
			base = checks.Tokens
		}
		return strings.Replace(uri, "https://api.weixin.qq.com", base, 1)
	})
	c := checks.Checks{}
	for name, client := range map[string]func(app, secret string) *officialaccount.OfficialAccount{"token": account, "stable_token": stable} {
		c.Client = fmt.Sprintf("silenceper/wechat (%s)", name)
		ours := client(checks.App, checks.Secret)
		first, err := ours.GetAccessToken()
		c.That("a token is obtained", err == nil && len(first) > 32, err)
		kept, err := ours.GetAccessToken()
		c.That("and kept, its lifetime less the client's margin being positive", err == nil && kept == first, err)
		ips, err := ours.GetBasic().GetCallbackIP()
		c.That("getcallbackip takes it", err == nil && len(ips) > 0, err)
		ips, err = ours.GetBasic().GetAPIDomainIP()
		c.That("get_api_domain_ip takes it", err == nil && len(ips) > 0, err)
		c.That("clear_quota takes it", ours.GetBasic().ClearQuota() == nil, "an error")
		_, err = client(checks.App, checks.Secret+"x").GetAccessToken()
		c.That("a wrong secret is "+checks.WrongSecret, says(err, checks.WrongSecret), err)
		_, err = client("wx00000000000000ff", checks.Secret).GetAccessToken()
		c.That("an unknown app is 40013", says(err, "40013"), err)
	}
	c.Finish()
}
