"""The signature is the one of the specification; events leave the machine encrypted."""

import base64
import hashlib
import hmac

import pytest

from ops_pipeline.forward.signature import id_of, signed
from ops_pipeline.forward.target import ForwardRefusedError, target_of
from ops_pipeline.receiver_answer import quoted


def test_the_signature_is_that_of_the_specifications_example() -> None:
    # Test vector of the libraries that the Standard Webhooks project publishes.
    headers = signed(
        "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw",
        "msg_p5jXN8AQM9LWM0D4loKWxJek",
        1614265330,
        b'{"test": 2432232314}',
    )

    assert headers == {
        "webhook-id": "msg_p5jXN8AQM9LWM0D4loKWxJek",
        "webhook-timestamp": "1614265330",
        "webhook-signature": "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=",
    }


def test_another_time_or_body_has_another_signature() -> None:
    secret = "whsec_" + base64.b64encode(b"k" * 32).decode()
    first = signed(secret, "batch_1", 1, b"a\n")

    expected = base64.b64encode(hmac.new(b"k" * 32, b"batch_1.1.a\n", hashlib.sha256).digest()).decode()
    assert first["webhook-signature"] == f"v1,{expected}"
    assert len({signed(secret, "batch_1", at, body)["webhook-signature"] for at, body in
                ((1, b"a\n"), (2, b"a\n"), (1, b"b\n"))}) == 3  # fmt: skip
    assert id_of(b"a\n") == id_of(b"a\n") != id_of(b"b\n")


@pytest.mark.parametrize(
    ("url", "is_allowed"),
    [
        ("https://siem.example.com/in", True),
        ("http://127.0.0.1:8080/in", True),
        ("http://localhost/in", True),
        ("http://[::1]:8080/in", True),
        ("http://siem.example.com/in", False),
        ("http://127.0.0.1.example.com/in", False),
        ("http://10.0.0.1/in", False),
    ],
)
def test_only_this_machine_gets_events_unencrypted(url: str, is_allowed: bool) -> None:
    if is_allowed:
        assert target_of(url, None).url == url
        return
    with pytest.raises(ForwardRefusedError, match="write https://"):
        target_of(url, None)


def test_a_target_is_named_after_its_host_and_shows_no_more_of_its_address() -> None:
    target = target_of("https://siem.example.com/t0ken?key=s3cret", None)

    assert target.name == "siem.example.com"
    assert "t0ken" not in repr(target)
    assert "s3cret" not in repr(target)
    assert target_of("https://[2001:db8::7]/", None).name == "2001-db8--7"


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("no such index", True),
        ("wrong token s3cr3t-value", False),
        ("wrong token S3CR3T-VALUE", False),
        ("wrong token s3cr3t-v…", False),
        ("no %73ecret-path here", False),
    ],
)
def test_an_answer_is_quoted_without_secrets(text: str, shown: bool) -> None:
    said = quoted(text, "https://siem.example.com/secret-path", "Bearer s3cr3t-value")

    assert said == (f": {text}" if shown else "")
