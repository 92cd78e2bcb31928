import com.dingtalk.api.DefaultDingTalkClient;
import com.dingtalk.api.request.OapiGetJsapiTicketRequest;
import com.dingtalk.api.request.OapiGettokenRequest;
import com.dingtalk.api.response.OapiGetJsapiTicketResponse;
import com.dingtalk.api.response.OapiGettokenResponse;
import com.taobao.api.ApiException;

/** alibaba-dingtalk-service-sdk, the older API's official client: each call names its whole URL. */
public final class DingTalkTop {
    private static final Checks CHECKS = new Checks("alibaba-dingtalk-service-sdk");

    private static OapiGettokenResponse token(String app, String secret) throws ApiException {
        OapiGettokenRequest request = new OapiGettokenRequest();
        request.setHttpMethod("GET");
        request.setAppkey(app);
        request.setAppsecret(secret);
        return new DefaultDingTalkClient(Checks.TOKENS + "/gettoken").execute(request);
    }

    private static OapiGetJsapiTicketResponse ticket(String token) throws ApiException {
        OapiGetJsapiTicketRequest request = new OapiGetJsapiTicketRequest();
        request.setHttpMethod("GET");
        return new DefaultDingTalkClient(Checks.TOKENS + "/get_jsapi_ticket").execute(request, token);
    }

    public static void main(String[] arguments) throws ApiException {
        OapiGettokenResponse first = token(Checks.APP, Checks.SECRET);
        CHECKS.that("a token is obtained", first.isSuccess() && first.getErrcode() == 0, first.getBody());
        CHECKS.that("its lifetime is a positive number", first.getExpiresIn() > 0 && first.getExpiresIn() <= 7200, first.getExpiresIn());
        OapiGetJsapiTicketResponse drawn = ticket(first.getAccessToken());
        CHECKS.that("get_jsapi_ticket takes it", drawn.isSuccess() && !drawn.getTicket().isEmpty(), drawn.getBody());
        boolean isSame = first.getAccessToken().equals(token(Checks.APP, Checks.SECRET).getAccessToken());
        CHECKS.that("a repeat gives the same token", isSame, "another");
        CHECKS.that("a dead token is 40014", ticket("dead".repeat(10)).getErrcode() == 40014, ticket("dead".repeat(10)).getBody());
        OapiGettokenResponse refused = token(Checks.APP, Checks.SECRET + "x");
        CHECKS.that("a wrong secret is 40096", !refused.isSuccess() && refused.getErrcode() == 40096, refused.getBody());
        Checks.finish();
    }
}
