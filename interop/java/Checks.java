/** What a client's runner says, one line per check, and where it is told to go. */
final class Checks {
    static final String TOKENS = System.getenv("MINTKEEP_TOKENS"); // who hands out tokens: the issuer, or the keeper's drop-in
    static final String PLATFORM = System.getenv("MINTKEEP_PLATFORM"); // who takes tokens: always the issuer
    static final String APP = System.getenv("MINTKEEP_APP");
    static final String SECRET = System.getenv("MINTKEEP_SECRET");
    static final boolean AT_THE_KEEPER = "keeper".equals(System.getenv("MINTKEEP_ROLE"));

    private final String client;
    private static boolean failed;

    Checks(String client) {
        this.client = client;
    }

    void that(String sentence, boolean holds, Object seen) {
        failed |= !holds;
        System.out.println(holds ? "ok " + client + ": " + sentence : "not ok " + client + ": " + sentence + ": " + seen);
    }

    static void finish() {
        System.out.println("done");
        System.exit(failed ? 1 : 0);
    }
}
