import java.util.List;
import me.chanjar.weixin.common.error.WxErrorException;
import me.chanjar.weixin.mp.api.WxMpService;
import me.chanjar.weixin.mp.api.impl.WxMpServiceHttpClientImpl;
import me.chanjar.weixin.mp.api.impl.WxMpServiceOkHttpImpl;
import me.chanjar.weixin.mp.config.WxMpHostConfig;
import me.chanjar.weixin.mp.config.impl.WxMpDefaultConfigImpl;

/** WxJava (weixin-java-mp): one host for the token and for the calls that take it, over two HTTP libraries. */
public final class WxJavaMp {
    private static final int WRONG_SECRET = Integer.parseInt(System.getenv("MINTKEEP_WRONG_SECRET"));
    private static final List<Boolean> BOTH_POOLS = List.of(false, true);

    private static Checks checks;

    private static WxMpService over(boolean okHttp, boolean stable, String secret) {
        WxMpHostConfig hosts = new WxMpHostConfig();
        hosts.setApiHost(Checks.TOKENS);
        WxMpDefaultConfigImpl config = new WxMpDefaultConfigImpl();
        config.setAppId(Checks.APP);
        config.setSecret(secret);
        config.useStableAccessToken(stable);
        config.setHostConfig(hosts);
        WxMpService service = okHttp ? new WxMpServiceOkHttpImpl() : new WxMpServiceHttpClientImpl();
        service.setWxMpConfigStorage(config);
        service.setMaxRetryTimes(1);
        return service;
    }

    private static void check(boolean okHttp, boolean stable) throws WxErrorException {
        checks = new Checks("WxJava mp (" + (okHttp ? "OkHttp" : "HttpClient") + (stable ? ", stable_token)" : ", token)"));
        WxMpService service = over(okHttp, stable, Checks.SECRET);
        checks.that("a token is obtained", service.getAccessToken().length() > 32, "a short one");
        checks.that("getcallbackip takes it", service.getCallbackIP().length > 0, "no addresses");
        checks.that("getticket takes it", !service.getJsapiTicket().isEmpty(), "no ticket");
        service.clearQuota(Checks.APP);
        checks.that("clear_quota takes it", true, "");
        service.getWxMpConfigStorage().updateAccessToken("dead".repeat(10), 7000);
        checks.that("a dead token heals itself", service.getCallbackIP().length > 0, "no addresses");
        try {
            over(okHttp, stable, Checks.SECRET + "x").getAccessToken();
            checks.that("a wrong secret is refused", false, "no error");
        } catch (WxErrorException error) {
            int code = error.getError().getErrorCode();
            checks.that("a wrong secret is " + WRONG_SECRET, code == WRONG_SECRET, code);
        }
    }

    public static void main(String[] arguments) throws WxErrorException {
        for (boolean stable : BOTH_POOLS) {
            check(false, stable);
            check(true, stable);
        }
        Checks.finish();
    }
}
