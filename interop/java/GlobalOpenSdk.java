import com.alipay.global.api.DefaultAlipayClient;
import com.alipay.global.api.base64.Base64Encryptor;
import com.alipay.global.api.exception.AlipayApiException;
import com.alipay.global.api.model.ams.CustomerBelongsTo;
import com.alipay.global.api.model.ams.GrantType;
import com.alipay.global.api.net.HttpRpcResult;
import com.alipay.global.api.request.ams.auth.AlipayAuthApplyTokenRequest;
import com.alipay.global.api.response.ams.auth.AlipayAuthApplyTokenResponse;
import com.alipay.global.api.tools.SignatureTool;
import java.io.IOException;
import java.io.InputStream;
import java.net.HttpURLConnection;
import java.net.URI;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.security.KeyPairGenerator;
import java.util.Base64;
import java.util.Map;

/** global-open-sdk-java, the official gateway client: it speaks HTTPS only, so its sending is replaced. */
public final class GlobalOpenSdk {
    private static final String DIALECT = System.getenv("MINTKEEP_DIALECT");
    private static final boolean IS_MINI = "miniprogram".equals(DIALECT);
    private static final Path KEYS = Path.of(System.getenv("MINTKEEP_KEYS"));
    private static final Checks CHECKS = new Checks("global-open-sdk-java (" + DIALECT + ")");

    /** The client, over plain HTTP. */
    private static final class Plain extends DefaultAlipayClient {
        Plain(String key, String answersKey) {
            super(Checks.TOKENS, key, answersKey, Checks.APP);
        }

        @Override
        public HttpRpcResult sendRequest(String url, String method, Map<String, String> headers, String body)
                throws AlipayApiException {
            try {
                HttpURLConnection connection = post(url, headers, body);
                HttpRpcResult result = new HttpRpcResult();
                result.setRspCode(connection.getResponseCode());
                result.setRspBody(read(connection));
                result.setResponseTime(connection.getHeaderField("response-time"));
                String signature = connection.getHeaderField("Signature"); // read as the client does: the last pair
                result.setRspSign(signature == null ? null : signature.substring(signature.indexOf("signature=") + 10));
                return result;
            } catch (IOException error) {
                throw new AlipayApiException(error);
            }
        }
    }

    private static HttpURLConnection post(String url, Map<String, String> headers, String body) throws IOException {
        HttpURLConnection connection = (HttpURLConnection) URI.create(url).toURL().openConnection();
        connection.setRequestMethod("POST");
        connection.setDoOutput(true);
        headers.forEach(connection::setRequestProperty);
        connection.getOutputStream().write(body.getBytes(StandardCharsets.UTF_8));
        return connection;
    }

    private static String read(HttpURLConnection connection) throws IOException {
        try (InputStream answer = connection.getInputStream()) {
            return new String(answer.readAllBytes(), StandardCharsets.UTF_8);
        }
    }

    private static String freshCode() throws IOException {
        String body = "{\"client_id\":\"" + Checks.APP + "\",\"customer_id\":\"2160000000000001\",\"scopes\":[\"auth_user\"]}";
        Map<String, String> headers = Map.of(
            "Authorization", "Bearer " + System.getenv("MINTKEEP_ADMIN_TOKEN"), "Content-Type", "application/json");
        String told = read(post(System.getenv("MINTKEEP_ADMIN") + "/admin/v1/codes", headers, body));
        return told.replaceFirst(".*\"auth_code\":\"([^\"]+)\".*", "$1");
    }

    private static boolean isActive(String token) throws IOException {
        String basic = Base64.getEncoder().encodeToString("gateway-sandbox:sandbox-gateway-secret".getBytes(StandardCharsets.UTF_8));
        return read(post(Checks.PLATFORM + "/oauth2/introspect", Map.of("Authorization", "Basic " + basic), "token=" + token))
            .startsWith("{\"active\":true");
    }

    /** A key as the client wants it: base64 without its PEM lines. */
    private static String key(Path file) throws IOException {
        return Files.readString(file).replaceAll("-----[^-]+-----|\\s", "");
    }

    private static AlipayAuthApplyTokenResponse apply(Plain client, GrantType type, String traded, String region)
            throws AlipayApiException {
        AlipayAuthApplyTokenRequest request = new AlipayAuthApplyTokenRequest();
        request.setPath(System.getenv("MINTKEEP_PATH")); // the client's own has a prefix of its gateway's
        request.setGrantType(type);
        request.setCustomerBelongsTo(CustomerBelongsTo.ALIPAY_HK); // a field of its gateway's, which no page here has
        request.setMerchantRegion(region);
        if (type == GrantType.AUTHORIZATION_CODE) {
            request.setAuthCode(traded);
        } else {
            request.setRefreshToken(traded);
        }
        return client.execute(request); // checks the answer's signature
    }

    private static void isTold(String sentence, String code, AlipayAuthApplyTokenResponse told) {
        CHECKS.that(sentence, code.equals(told.getResult().getResultCode()), told.getResult());
    }

    public static void main(String[] arguments) throws Exception {
        // The client's own base64 is of a package that Java has not had since version 11; this is its way to replace it.
        SignatureTool.setBase64Encryptor(new Base64Encryptor() {
            @Override
            public String encodeToString(byte[] bytes) {
                return Base64.getEncoder().encodeToString(bytes);
            }

            @Override
            public byte[] decode(String text) {
                return Base64.getDecoder().decode(text);
            }
        });
        String answersKey = key(Path.of(System.getenv("MINTKEEP_ANSWERS_KEY")));
        Plain client = new Plain(key(KEYS.resolve("app_private.pem")), answersKey);

        String code = freshCode();
        AlipayAuthApplyTokenResponse granted = apply(client, GrantType.AUTHORIZATION_CODE, code, null);
        isTold("a code buys a token, and a field too many harms nothing", "SUCCESS", granted);
        CHECKS.that("introspection calls it active", isActive(granted.getAccessToken()), granted);
        AlipayAuthApplyTokenResponse next = apply(client, GrantType.REFRESH_TOKEN, granted.getRefreshToken(), null);
        isTold("its refresh token buys the next", "SUCCESS", next);
        CHECKS.that("which is good", isActive(next.getAccessToken()), next);
        AlipayAuthApplyTokenResponse again = apply(client, GrantType.AUTHORIZATION_CODE, code, "HK");
        if (Checks.AT_THE_KEEPER) {
            CHECKS.that("the same code gives the customer's token", granted.getAccessToken().equals(again.getAccessToken()), again);
        } else {
            String used = IS_MINI ? "USED_CODE" : "INVALID_AUTHCODE";
            isTold("a used code is " + used, used, again);
            KeyPairGenerator keys = KeyPairGenerator.getInstance("RSA");
            keys.initialize(2048);
            String stranger = Base64.getEncoder().encodeToString(keys.generateKeyPair().getPrivate().getEncoded());
            String wrong = IS_MINI ? "INVALID_SIGNATURE" : "PARAM_ILLEGAL";
            isTold("a wrong key is " + wrong + ", signed", wrong,
                apply(new Plain(stranger, answersKey), GrantType.AUTHORIZATION_CODE, freshCode(), null));
        }
        Checks.finish();
    }
}
