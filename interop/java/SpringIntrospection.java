import java.io.IOException;
import java.net.URI;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpResponse.BodyHandlers;
import java.time.Instant;
import org.springframework.security.oauth2.core.OAuth2AuthenticatedPrincipal;
import org.springframework.security.oauth2.server.resource.introspection.BadOpaqueTokenException;
import org.springframework.security.oauth2.server.resource.introspection.OAuth2IntrospectionException;
import org.springframework.security.oauth2.server.resource.introspection.SpringOpaqueTokenIntrospector;

/** Spring Security's resource server, which asks about every token that its callers bring. */
public final class SpringIntrospection {
    private static final Checks CHECKS = new Checks("Spring resource server");

    private static SpringOpaqueTokenIntrospector gateway(String secret) {
        return new SpringOpaqueTokenIntrospector(Checks.PLATFORM + "/oauth2/introspect", "gateway-sandbox", secret);
    }

    private static String token() throws IOException, InterruptedException {
        String body = "{\"appKey\":\"" + Checks.APP + "\",\"appSecret\":\"" + Checks.SECRET + "\"}";
        HttpRequest asked = HttpRequest.newBuilder(URI.create(Checks.TOKENS + "/v1.0/oauth2/accessToken"))
            .header("Content-Type", "application/json")
            .POST(HttpRequest.BodyPublishers.ofString(body))
            .build();
        String told = HttpClient.newHttpClient().send(asked, BodyHandlers.ofString()).body();
        return told.replaceFirst(".*\"accessToken\":\"([^\"]+)\".*", "$1");
    }

    private static void isRefused(String sentence, Class<?> wanted, String secret, String token) {
        try {
            Object told = gateway(secret).introspect(token).getName();
            CHECKS.that(sentence, false, told);
        } catch (OAuth2IntrospectionException error) {
            CHECKS.that(sentence, error.getClass() == wanted, error);
        }
    }

    public static void main(String[] arguments) throws IOException, InterruptedException {
        String token = token();
        OAuth2AuthenticatedPrincipal app = gateway("sandbox-gateway-secret").introspect(token);
        CHECKS.that("a token names its app", Checks.APP.equals(app.getName()), app.getName());
        Instant until = app.getAttribute("exp");
        CHECKS.that("and its end is a time to come", until != null && until.isAfter(Instant.now()), until);
        isRefused("a dead token is a bad one", BadOpaqueTokenException.class, "sandbox-gateway-secret", "dead" + token);
        isRefused("a wrong secret is another error", OAuth2IntrospectionException.class, "sandbox-gateway-secretx", token);
        Checks.finish();
    }
}
