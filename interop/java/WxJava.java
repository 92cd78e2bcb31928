import cn.binarywang.wx.miniapp.api.WxMaService;
import cn.binarywang.wx.miniapp.api.impl.WxMaServiceImpl;
import cn.binarywang.wx.miniapp.config.impl.WxMaDefaultConfigImpl;
import me.chanjar.weixin.common.error.WxErrorException;

/** WxJava (weixin-java-miniapp): its host is a setting, so is the token's address; both token endpoints. */
public final class WxJava {
    private static final int WRONG_SECRET = Integer.parseInt(System.getenv("MINTKEEP_WRONG_SECRET"));
    private static final String CALLBACK_IP = "https://api.weixin.qq.com/cgi-bin/getcallbackip";

    private static Checks checks;

    private interface Call {
        void run() throws WxErrorException;
    }

    private static void isRefused(String sentence, int code, Call call) {
        try {
            call.run();
            checks.that(sentence, false, "no error");
        } catch (WxErrorException error) {
            checks.that(sentence, error.getError().getErrorCode() == code, error.getError().getErrorCode());
        }
    }

    private static WxMaService client(String app, String secret, boolean stable) {
        String path = stable ? "/cgi-bin/stable_token" : "/cgi-bin/token?grant_type=client_credential&appid=%s&secret=%s";
        String slash = "/"; // as in the library's documented host setting, which doubles the slash before every path
        WxMaDefaultConfigImpl config = new WxMaDefaultConfigImpl();
        config.setAppid(app);
        config.setSecret(secret);
        config.useStableAccessToken(stable);
        config.setApiHostUrl(Checks.PLATFORM + slash);
        config.setAccessTokenUrl(Checks.TOKENS + slash + path);
        WxMaService service = new WxMaServiceImpl();
        service.setWxMaConfig(config);
        service.setMaxRetryTimes(1);
        return service;
    }

    private static void check(boolean stable) throws WxErrorException {
        checks = new Checks(stable ? "WxJava (stable_token)" : "WxJava (token)");
        WxMaService service = client(Checks.APP, Checks.SECRET, stable);
        String first = service.getAccessToken();
        checks.that("a token is obtained", first.length() > 32, first.length());
        checks.that("getcallbackip takes it", service.get(CALLBACK_IP, null).contains("ip_list"), "no addresses");
        String second = service.getAccessToken(true);
        if (stable || Checks.AT_THE_KEEPER) {
            // Soon after the last mint, or at the keeper, being forced changes nothing.
            checks.that("a forced repeat gives a good token", service.get(CALLBACK_IP, null).contains("ip_list"), "no addresses");
        } else {
            checks.that("a repeat gives another token", !first.equals(second), "the same");
        }
        isRefused("a wrong secret is " + WRONG_SECRET, WRONG_SECRET, () -> client(Checks.APP, Checks.SECRET + "x", stable).getAccessToken());
        isRefused("an unknown app is 40013", 40013, () -> client("wx00000000000000ff", Checks.SECRET, stable).getAccessToken());
    }

    public static void main(String[] arguments) throws WxErrorException {
        check(false);
        check(true);
        Checks.finish();
    }
}
