import com.aliyun.dingtalkoauth2_1_0.Client;
import com.aliyun.dingtalkoauth2_1_0.models.CreateJsapiTicketHeaders;
import com.aliyun.dingtalkoauth2_1_0.models.GetAccessTokenRequest;
import com.aliyun.dingtalkoauth2_1_0.models.GetAccessTokenResponseBody;
import com.aliyun.dingtalkoauth2_1_0.models.GetTokenRequest;
import com.aliyun.tea.TeaException;
import com.aliyun.teaopenapi.models.Config;
import com.aliyun.teautil.models.RuntimeOptions;
import java.net.URI;

/** com.aliyun:dingtalk, the page's own Java sample but for its endpoint and protocol. */
public final class DingTalkSdk {
    private static final Checks CHECKS = new Checks("com.aliyun:dingtalk");

    private interface Call {
        void run() throws Exception;
    }

    private static Client client(String base) throws Exception {
        Config config = new Config();
        config.protocol = "http";
        config.regionId = "central";
        config.endpoint = URI.create(base).getAuthority();
        return new Client(config);
    }

    private static GetAccessTokenResponseBody ask(String app, String secret) throws Exception {
        return client(Checks.TOKENS).getAccessToken(new GetAccessTokenRequest().setAppKey(app).setAppSecret(secret)).body;
    }

    private static String ticket(String token) throws Exception {
        CreateJsapiTicketHeaders headers = new CreateJsapiTicketHeaders();
        headers.xAcsDingtalkAccessToken = token;
        return client(Checks.PLATFORM).createJsapiTicketWithOptions(headers, new RuntimeOptions()).body.jsapiTicket;
    }

    private static void isRefused(String sentence, String code, Call call) throws Exception {
        try {
            call.run();
            CHECKS.that(sentence, false, "no error");
        } catch (TeaException refused) {
            Object id = refused.data == null ? null : refused.data.get("requestid");
            CHECKS.that(sentence + ", with a request id", code.equals(refused.code) && id != null, refused.code + " " + id);
        }
    }

    public static void main(String[] arguments) throws Exception {
        GetAccessTokenResponseBody first = ask(Checks.APP, Checks.SECRET);
        CHECKS.that("a token is obtained", !first.accessToken.isEmpty(), first.accessToken);
        CHECKS.that("its lifetime is a positive number", first.expireIn > 0 && first.expireIn <= 7200, first.expireIn);
        CHECKS.that("jsapiTickets takes it", !ticket(first.accessToken).isEmpty(), "no ticket");
        CHECKS.that("a repeat gives the same token", first.accessToken.equals(ask(Checks.APP, Checks.SECRET).accessToken), "another");
        if (!Checks.AT_THE_KEEPER) {
            GetTokenRequest request = new GetTokenRequest()
                .setClientId(Checks.APP).setClientSecret(Checks.SECRET).setGrantType("client_credentials");
            String corp = client(Checks.TOKENS).getToken("dingcorp", request).body.accessToken;
            CHECKS.that("{corpId}/token gives the same token", first.accessToken.equals(corp), "another");
        }
        isRefused("a dead token is InvalidAuthentication", "InvalidAuthentication", () -> ticket("dead"));
        isRefused("a wrong secret is invalidClientIdOrSecret", "invalidClientIdOrSecret", () -> ask(Checks.APP, Checks.SECRET + "x"));
        isRefused("an unknown app is invalidClientIdOrSecret", "invalidClientIdOrSecret", () -> ask("dingnobody", Checks.SECRET));
        Checks.finish();
    }
}
