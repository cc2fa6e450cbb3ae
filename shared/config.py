"""Settings: read once from the environment (AMENDS_*), frozen, each with its meaning. Only `app.py` files call `load`."""

from __future__ import annotations

import ssl
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, TypeVar

from aiokafka.helpers import create_ssl_context
from pydantic import Field, SecretStr, ValidationError
from pydantic_settings import BaseSettings, SettingsConfigDict

from shared.errors import StartRefused

if TYPE_CHECKING:
    from shared.vault import MasterKeys

T = TypeVar("T", bound=BaseSettings)
Port = Annotated[int, Field(ge=0, le=65535)]


class KafkaSettings(BaseSettings):
    """How to reach Kafka. The same services run against any cluster: plain, TLS, SASL."""

    model_config = SettingsConfigDict(env_prefix="AMENDS_KAFKA_", frozen=True, extra="ignore")

    bootstrap: str = Field("127.0.0.1:9092", description="Comma-separated host:port of some brokers.")
    topic_prefix: str = Field("", description="Put before every topic name and consumer group, e.g. 'prod.'.")
    security_protocol: Literal["PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL"] = Field(
        "PLAINTEXT", description="How to connect. PLAINTEXT only on a network that you trust."
    )
    sasl_mechanism: Literal["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"] = Field(
        "SCRAM-SHA-512", description="Used when security_protocol is SASL_*."
    )
    sasl_username: str | None = Field(None, description="User name for SASL.")
    sasl_password: SecretStr | None = Field(None, description="Password for SASL.")
    ca_file: Path | None = Field(None, description="CA certificates (PEM) to trust; default: the system's.")
    cert_file: Path | None = Field(None, description="Client certificate (PEM) for mutual TLS.")
    key_file: Path | None = Field(None, description="Key (PEM) of the client certificate.")
    session_timeout_ms: int = Field(
        10_000, ge=1_000, description="A consumer that says nothing for this long loses its partitions (milliseconds)."
    )
    batch_records: int = Field(500, ge=1, le=10_000, description="Most records handled in one save.")
    linger_ms: int = Field(2, ge=0, description="How long the relay's producer waits to fill a batch (milliseconds).")

    def client_options(self) -> dict[str, Any]:
        """The options that every aiokafka client takes. Reads the certificate files."""
        options: dict[str, Any] = {
            "bootstrap_servers": self.bootstrap.split(","),
            "security_protocol": self.security_protocol,
        }
        if self.security_protocol in ("SSL", "SASL_SSL"):
            options["ssl_context"] = self.ssl_context()
        if self.security_protocol.startswith("SASL"):
            user, password = self.sasl_credentials()
            options |= {
                "sasl_mechanism": self.sasl_mechanism,
                "sasl_plain_username": user,
                "sasl_plain_password": password,
            }
        return options

    def sasl_credentials(self) -> tuple[str, str]:
        """User and password for SASL; refuses to start without."""
        if not self.sasl_username or self.sasl_password is None:
            raise StartRefused(
                f"AMENDS_KAFKA_SECURITY_PROTOCOL={self.security_protocol} needs AMENDS_KAFKA_SASL_USERNAME and "
                "AMENDS_KAFKA_SASL_PASSWORD"
            )
        return self.sasl_username, self.sasl_password.get_secret_value()

    def ssl_context(self) -> ssl.SSLContext:
        """The TLS context from the certificate files."""
        for name, path in (("CA_FILE", self.ca_file), ("CERT_FILE", self.cert_file), ("KEY_FILE", self.key_file)):
            if path is not None and not path.is_file():
                raise StartRefused(f"AMENDS_KAFKA_{name}={path}: no such file")
        context: ssl.SSLContext = create_ssl_context(
            cafile=None if self.ca_file is None else str(self.ca_file),
            certfile=None if self.cert_file is None else str(self.cert_file),
            keyfile=None if self.key_file is None else str(self.key_file),
        )
        return context


class OidcSettings(BaseSettings):
    """The identity provider. Without an issuer only API keys are taken."""

    model_config = SettingsConfigDict(env_prefix="AMENDS_OIDC_", frozen=True, extra="ignore")

    issuer: str = Field("", description="Who signs the tokens (`iss`), exactly as it stands in them. Empty: no tokens are taken.")
    audience: str = Field("", description="For whom they must be (`aud`).")
    jwks_url: str = Field("", description="Where the provider's public keys are (JWKS, https).")
    jwks_file: Path | None = Field(None, description="The same as a file, instead of the address.")
    roles_claim: str = Field("roles", description="Where the roles are in a token; dots lead inside, e.g. 'realm_access.roles'.")
    name_claim: str = Field("preferred_username", description="What somebody is called in events (`by`).")


class ServiceSettings(BaseSettings):
    """What every service needs."""

    model_config = SettingsConfigDict(env_prefix="AMENDS_", frozen=True, extra="ignore")

    database_url: SecretStr = Field(
        description="postgresql://user:password@host:port/database; TLS by ?sslmode=verify-full. Each service keeps its own schema."
    )
    id_key: Annotated[SecretStr, Field(min_length=64)] = Field(
        description="At least 32 random bytes in hex. Makes complaint and event ids; the same for all services; never rotates."
    )
    master_key_file: Path | None = Field(
        None,
        description="Intake and records: file with the master keys, lines 'NAME 64-hex-digits', the newest first. They wrap "
        "the keys that deliveries and the ledger's payloads are encrypted with: whoever loses it can read neither.",
    )
    http_host: str = Field("127.0.0.1", description="Address that the HTTP server listens on.")
    http_port: Port = Field(0, description="Port that the HTTP server listens on; 0 takes a free one and logs it.")
    log_level: Literal["debug", "info", "warning", "error"] = Field("info", description="Least level that is logged.")
    dead_letter_limit: int = Field(
        100, ge=1, description="Open dead letters of the last ten minutes at which consuming stops and alarms."
    )
    liveness_window_s: float = Field(60.0, ge=5, description="A loop without progress for this long makes /livez fail.")
    shutdown_s: float = Field(20.0, ge=1, description="Total time for a shutdown; then the process ends as it is.")
    simulated_clock: Path | None = Field(
        None, description="Only for `amends up --simulated`: the file that says how far the clock is ahead."
    )
    failpoints: str = Field("", description="For fault tests only: see shared/failpoints.py.")

    def master_keys(self) -> MasterKeys:
        """The master keys; refuses to start without."""
        if self.master_key_file is None:
            raise StartRefused("AMENDS_MASTER_KEY_FILE is not set; make one with: echo first $(openssl rand -hex 32)")
        from shared.vault import read_master_keys  # a cipher is megabytes, and half of the services need none

        return read_master_keys(self.master_key_file)

    def id_key_bytes(self) -> bytes:
        try:
            return bytes.fromhex(self.id_key.get_secret_value())
        except ValueError:
            raise StartRefused("AMENDS_ID_KEY is not hexadecimal; make one with: openssl rand -hex 32") from None


class SmtpSettings(BaseSettings):
    """Intake's own SMTP listener. Mail is answered with 250 only when it is stored."""

    model_config = SettingsConfigDict(env_prefix="AMENDS_SMTP_", frozen=True, extra="ignore")

    port: Port | None = Field(None, description="Port to listen on; 0 takes a free one and logs it. Without it there is no listener.")
    host: str = Field("127.0.0.1", description="Address to listen on. Let your own mail server deliver to it, not the internet.")
    name: str = Field("amends", description="Name that it greets with and writes into `Received`.")
    max_bytes: int = Field(26_214_400, ge=1_024, le=26_214_400, description="Largest mail that is taken.")
    max_recipients: int = Field(50, ge=1, le=1_000, description="Most recipients of one mail.")
    max_connections: int = Field(100, ge=1, description="Most connections at a time; further ones are told to come later.")
    tls_cert_file: Path | None = Field(None, description="Certificate chain (PEM): offers STARTTLS.")
    tls_key_file: Path | None = Field(None, description="Its private key (PEM).")
    require_tls: bool = Field(False, description="Take mail only after STARTTLS.")


class RecordsSettings(BaseSettings):
    """What records needs besides: the ledger's checkpoints."""

    model_config = SettingsConfigDict(env_prefix="AMENDS_RECORDS_", frozen=True, extra="ignore")

    signing_key_file: Path | None = Field(
        None,
        description="Private key(s) that sign the ledger's checkpoints, made by `amends records keygen`. Without it this "
        "process signs nothing: let `amends records sign` do it elsewhere.",
    )
    signer_state_file: Path | None = Field(
        None,
        description="Where the signer remembers the last checkpoint it signed; default: beside the key, with `.signed`.",
    )
    witnesses_file: Path | None = Field(
        None, description="Witnesses that cosign each checkpoint: a line each with URL and public key."
    )
    public_log: bool = Field(
        True,
        description="Whether anybody may read the public log under /log: checkpoint, hashes and records, in which nothing is "
        "personal; how many events there are and when is. If not, an API key with the scope cases:read is needed.",
    )
    checkpoint_every_s: float = Field(
        10.0,
        gt=0,
        description="How often a checkpoint is signed when there are new records (seconds). Every one is kept for ever, so "
        "this is between how soon a record is provable and how many there are.",
    )


def load(model: type[T]) -> T:
    """Read the settings from the environment. A missing or wrong one ends in one sentence that names the variable."""
    try:
        return model()
    except ValidationError as error:
        prefix = model.model_config.get("env_prefix", "")
        problems = [
            f"{prefix}{'_'.join(map(str, e['loc'])).upper()}: {e['msg'].lower()}"
            for e in error.errors(include_input=False)
        ]
        raise StartRefused("wrong settings: " + "; ".join(problems)) from None
