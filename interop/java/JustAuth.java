import java.io.IOException;
import java.net.URI;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpResponse.BodyHandlers;
import me.zhyd.oauth.config.AuthConfig;
import me.zhyd.oauth.config.AuthDefaultSource;
import me.zhyd.oauth.config.AuthSource;
import me.zhyd.oauth.exception.AuthException;
import me.zhyd.oauth.model.AuthCallback;
import me.zhyd.oauth.model.AuthToken;
import me.zhyd.oauth.request.AuthDefaultRequest;
import me.zhyd.oauth.request.AuthDingTalkV2Request;

/** JustAuth's sign-in with DingTalk, as far as the user's token: the address is its source's, which a subclass replaces. */
public final class JustAuth {
    private static final Checks CHECKS = new Checks("JustAuth");

    private enum Here implements AuthSource {
        DINGTALK;

        @Override
        public String authorize() {
            return AuthDefaultSource.DINGTALK_V2.authorize();
        }

        @Override
        public String accessToken() {
            return Checks.TOKENS + "/v1.0/oauth2/userAccessToken";
        }

        @Override
        public String userInfo() {
            return AuthDefaultSource.DINGTALK_V2.userInfo();
        }

        @Override
        public Class<? extends AuthDefaultRequest> getTargetClass() {
            return AuthDingTalkV2Request.class;
        }
    }

    private static final class Client extends AuthDingTalkV2Request {
        Client(String secret) {
            super(AuthConfig.builder().clientId(Checks.APP).clientSecret(secret).redirectUri("https://shop.example/back").build());
            source = Here.DINGTALK;
        }
    }

    private static AuthCallback back(String code) {
        AuthCallback back = new AuthCallback();
        back.setCode(code);
        return back;
    }

    private static void isRefused(String sentence, String secret, String code) {
        try {
            AuthToken token = new Client(secret).getAccessToken(back(code));
            CHECKS.that(sentence, false, token.getCorpId());
        } catch (AuthException error) {
            CHECKS.that(sentence, true, error);
        }
    }

    private static String freshCode(HttpClient http) throws IOException, InterruptedException {
        String body = "{\"client_id\":\"" + Checks.APP + "\",\"customer_id\":\"2160000000000001\",\"scopes\":[\"auth_user\"]}";
        HttpRequest asked = HttpRequest.newBuilder(URI.create(System.getenv("MINTKEEP_ADMIN") + "/admin/v1/codes"))
            .header("Authorization", "Bearer " + System.getenv("MINTKEEP_ADMIN_TOKEN"))
            .header("Content-Type", "application/json")
            .POST(HttpRequest.BodyPublishers.ofString(body))
            .build();
        String told = http.send(asked, BodyHandlers.ofString()).body();
        return told.replaceFirst(".*\"auth_code\":\"([^\"]+)\".*", "$1");
    }

    public static void main(String[] arguments) throws IOException, InterruptedException {
        HttpClient http = HttpClient.newHttpClient();
        String code = freshCode(http);
        isRefused("a wrong secret is an error, and the code stays good", Checks.SECRET + "x", code);
        AuthToken token = new Client(Checks.SECRET).getAccessToken(back(code));
        CHECKS.that("a code is exchanged for a user's token", token.getAccessToken().length() > 32, token.getExpireIn());
        CHECKS.that("its lifetime is a positive number", token.getExpireIn() > 0, token.getExpireIn());
        CHECKS.that("a refresh token and the corpId come along", !token.getRefreshToken().isEmpty() && !token.getCorpId().isEmpty(), token.getCorpId());
        isRefused("a used code is an error", Checks.SECRET, code);
        Checks.finish();
    }
}
