// PgJDBC through the tunnel with the certificate fully verified. It takes what `devdb env` sets for libpq: dial
// PGHOSTADDR, and insist on the endpoint's own name, which PgJDBC cannot learn from an address.
import java.sql.Connection;
import java.sql.DriverManager;
import java.sql.SQLException;
import java.util.Properties;
import javax.net.ssl.HostnameVerifier;
import javax.net.ssl.SSLSession;
import org.postgresql.ssl.PGjdbcHostnameVerifier;

public final class TunnelDatabase implements HostnameVerifier {
    public static Connection connect() throws SQLException {
        var settings = new Properties();
        settings.setProperty("user", System.getenv("PGUSER"));
        settings.setProperty("password", System.getenv("PGPASSWORD"));
        settings.setProperty("sslmode", System.getenv("PGSSLMODE"));
        settings.setProperty("sslrootcert", System.getenv("PGSSLROOTCERT"));
        settings.setProperty("sslhostnameverifier", TunnelDatabase.class.getName());
        var dialled = System.getenv().getOrDefault("PGHOSTADDR", System.getenv("PGHOST"));
        var place = dialled + ":" + System.getenv("PGPORT") + "/" + System.getenv("PGDATABASE");
        return DriverManager.getConnection("jdbc:postgresql://" + place, settings);
    }

    @Override
    public boolean verify(String dialled, SSLSession session) {
        return PGjdbcHostnameVerifier.INSTANCE.verify(System.getenv("PGHOST"), session);
    }
}
