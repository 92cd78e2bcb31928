//! What the pages say, in three languages, and which of them a browser wants.

use http::HeaderMap;
use http::header::ACCEPT_LANGUAGE;

/// The texts of one language: each name says where it stands, the English text what it means.
#[derive(Debug, PartialEq, Eq)]
pub struct Words {
    /// BCP 47, for `lang`.
    pub lang: &'static str,
    pub ask_title: &'static str,
    pub wants: &'static str,
    pub you_are: &'static str,
    pub confirm: &'static str,
    pub refuse: &'static str,
    pub ask_note: &'static str,
    pub see_granted: &'static str,
    pub auth_base: &'static str,
    pub auth_user: &'static str,
    pub other_scope: &'static str,
    pub granted_title: &'static str,
    pub granted_none: &'static str,
    pub granted_since: &'static str,
    pub granted_more: &'static str,
    pub granted_ended: &'static str,
    pub end_access: &'static str,
    pub done_title: &'static str,
    pub done_text: &'static str,
    pub refused_title: &'static str,
    pub start_again: &'static str,
    pub error_title: &'static str,
    pub error_asking: &'static str,
    pub error_app: &'static str,
    pub error_way: &'static str,
    pub error_sign_in: &'static str,
    pub error_expired: &'static str,
    pub error_forged: &'static str,
    pub error_used: &'static str,
    pub error_busy: &'static str,
}

impl Words {
    /// A scope in words; one that has none goes by its name.
    #[must_use]
    pub fn scope(&self, scope: &str) -> String {
        match scope {
            "auth_base" => self.auth_base.to_owned(),
            "auth_user" => self.auth_user.to_owned(),
            other => self.other_scope.replace("{}", other),
        }
    }
}

/// English.
pub const EN: Words = Words {
    lang: "en",
    ask_title: "Allow access?",
    wants: "would like to:",
    you_are: "Signed in as",
    confirm: "Allow",
    refuse: "Don’t allow",
    ask_note: "You can end this access at any time.",
    see_granted: "Apps with access to your account",
    auth_base: "recognise you when you come back",
    auth_user: "see your profile: name, picture, gender and country",
    other_scope: "use “{}” on your behalf",
    granted_title: "Apps with access to your account",
    granted_none: "No app has access to your account.",
    granted_since: "Since",
    granted_more: "There are more. End some of these to see the rest.",
    granted_ended: "The access was ended.",
    end_access: "End access",
    done_title: "Allowed",
    done_text: "You can close this window and go back to the app.",
    refused_title: "Not allowed",
    start_again: "Start again",
    error_title: "This did not work",
    error_asking: "The link that brought you here is incomplete. Go back to the app and try again.",
    error_app: "This app can’t be used here at the moment.",
    error_way: "The app did not register the address it wants you sent back to, so you were not sent there.",
    error_sign_in: "Your wallet’s sign-in is missing, was used, or has expired. Open this page from your wallet again.",
    error_expired: "This page was open for too long. Nothing was shared with the app.",
    error_forged: "The answer did not come from our own page, so it was not taken. Nothing was shared with the app.",
    error_used: "You have already answered this. Go back to the app.",
    error_busy: "We could not finish this just now. Wait a moment and try again.",
};

/// Chinese in traditional characters, as written in Hong Kong and Taiwan.
pub const ZH_HANT: Words = Words {
    lang: "zh-Hant",
    ask_title: "允許存取？",
    wants: "希望可以：",
    you_are: "登入帳戶：",
    confirm: "允許",
    refuse: "不允許",
    ask_note: "你可以隨時終止此授權。",
    see_granted: "可存取你帳戶的應用程式",
    auth_base: "在你再次使用時識別你",
    auth_user: "查看你的個人資料：名稱、頭像、性別和國家或地區",
    other_scope: "代你使用「{}」",
    granted_title: "可存取你帳戶的應用程式",
    granted_none: "沒有應用程式可存取你的帳戶。",
    granted_since: "授權時間",
    granted_more: "尚有其他應用程式未列出。終止部分授權後即可看到。",
    granted_ended: "授權已終止。",
    end_access: "終止授權",
    done_title: "已允許",
    done_text: "你可以關閉此視窗並返回應用程式。",
    refused_title: "已拒絕",
    start_again: "重新開始",
    error_title: "未能完成",
    error_asking: "帶你來到這裡的連結不完整。請返回應用程式再試一次。",
    error_app: "此應用程式目前無法在這裡使用。",
    error_way: "應用程式要求返回的網址未經登記，因此沒有把你帶往該網址。",
    error_sign_in: "錢包的登入憑證缺失、已被使用或已過期。請從錢包重新開啟此頁面。",
    error_expired: "此頁面開啟時間過長，已經失效。我們沒有向應用程式提供任何資料。",
    error_forged: "這個回覆並非來自我們的頁面，因此未獲接受。我們沒有向應用程式提供任何資料。",
    error_used: "你已經作出選擇。請返回應用程式。",
    error_busy: "暫時未能完成。請稍後再試。",
};

/// Chinese in simplified characters.
pub const ZH_HANS: Words = Words {
    lang: "zh-Hans",
    ask_title: "允许访问？",
    wants: "希望可以：",
    you_are: "登录账户：",
    confirm: "允许",
    refuse: "不允许",
    ask_note: "你可以随时终止此授权。",
    see_granted: "可访问你账户的应用",
    auth_base: "在你再次使用时识别你",
    auth_user: "查看你的个人资料：名称、头像、性别和国家或地区",
    other_scope: "代你使用“{}”",
    granted_title: "可访问你账户的应用",
    granted_none: "没有应用可访问你的账户。",
    granted_since: "授权时间",
    granted_more: "还有其他应用未列出。终止部分授权后即可看到。",
    granted_ended: "授权已终止。",
    end_access: "终止授权",
    done_title: "已允许",
    done_text: "你可以关闭此窗口并返回应用。",
    refused_title: "已拒绝",
    start_again: "重新开始",
    error_title: "操作未完成",
    error_asking: "带你来到这里的链接不完整。请返回应用再试一次。",
    error_app: "此应用目前无法在这里使用。",
    error_way: "应用要求返回的网址未经登记，因此没有将你带往该网址。",
    error_sign_in: "钱包的登录凭证缺失、已被使用或已过期。请从钱包重新打开此页面。",
    error_expired: "此页面打开时间过长，已经失效。我们没有向应用提供任何信息。",
    error_forged: "这个回复并非来自我们的页面，因此未被接受。我们没有向应用提供任何信息。",
    error_used: "你已经做出选择。请返回应用。",
    error_busy: "暂时无法完成。请稍后再试。",
};

/// The language of ours that the browser wants most; English if it wants none of them.
///
/// Chinese without a script is simplified, but traditional from Taiwan, Hong Kong and Macao. Source: RFC 9110
/// section 12.5.4.
#[must_use]
pub fn wanted(headers: &HeaderMap) -> &'static Words {
    let lines = headers.get_all(ACCEPT_LANGUAGE).iter().filter_map(|line| line.to_str().ok());
    let mut best: (u16, &Words) = (0, &EN);
    for range in lines.flat_map(|line| line.split(',')) {
        let (tag, weight) = range.split_once(';').unwrap_or((range, ""));
        let weight = weight_of(weight);
        if let Some(words) = words_of(tag.trim())
            && weight > best.0
        {
            best = (weight, words);
        }
    }
    best.1
}

/// Thousandths; 1000 if none is given, 0 if it can't be read.
fn weight_of(parameter: &str) -> u16 {
    let Some((_, value)) = parameter.split_once('=') else { return 1_000 };
    let (whole, fraction) = value.trim().split_once('.').unwrap_or((value.trim(), ""));
    if whole == "1" {
        return 1_000;
    }
    format!("{fraction:0<3}").get(..3).and_then(|digits| digits.parse().ok()).unwrap_or(0)
}

fn words_of(tag: &str) -> Option<&'static Words> {
    let tag = tag.to_ascii_lowercase();
    let mut parts = tag.split('-');
    match parts.next()? {
        "en" => Some(&EN),
        "zh" => {
            let is_traditional = parts.any(|part| matches!(part, "hant" | "tw" | "hk" | "mo"));
            Some(if is_traditional && !tag.contains("hans") { &ZH_HANT } else { &ZH_HANS })
        }
        "yue" => Some(&ZH_HANT),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_browser_gets_the_language_that_it_wants_most() {
        #[rustfmt::skip]
        let cases = [
            ("",                                    "en"),
            ("fr, de;q=0.9",                        "en"),
            ("zh-HK,zh;q=0.9,en;q=0.8",             "zh-Hant"),
            ("zh-TW",                               "zh-Hant"),
            ("zh-Hant-CN",                          "zh-Hant"),
            ("zh-Hans-HK",                          "zh-Hans"),
            ("zh-CN,zh;q=0.9",                      "zh-Hans"),
            ("zh",                                  "zh-Hans"),
            ("yue",                                 "zh-Hant"),
            ("en;q=0.5, zh-MO;q=0.75",              "zh-Hant"),
            ("en;q=0.8, zh-MO;q=0.75",              "en"),
            ("fr, zh-SG;q=0.1",                     "zh-Hans"),
            ("zh;q=0",                              "en"),
            ("zh;q=nonsense",                       "en"),
            ("ZH-hk;q=1.000",                       "zh-Hant"),
        ];
        for (wants, lang) in cases {
            let headers = HeaderMap::from_iter([(ACCEPT_LANGUAGE, wants.parse().unwrap())]);
            assert_eq!(wanted(&headers).lang, lang, "{wants}");
        }
        assert_eq!(wanted(&HeaderMap::new()).lang, "en");
    }

    #[test]
    fn a_scope_without_words_of_its_own_goes_by_its_name() {
        for words in [&EN, &ZH_HANT, &ZH_HANS] {
            assert!(words.scope("auth_pay").contains("auth_pay"), "{}", words.lang);
            assert_ne!(words.scope("auth_base"), words.scope("auth_user"));
        }
    }
}
