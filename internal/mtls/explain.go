package mtls

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"strings"
	"time"
)

// explain says what to do about an error of a connection to a controller.
// Other errors come back as they are.
func explain(err error, files Files, own *x509.Certificate) error {
	invalid, isInvalid := errors.AsType[x509.CertificateInvalidError](err)
	_, unknown := errors.AsType[x509.UnknownAuthorityError](err)
	host, wrongHost := errors.AsType[x509.HostnameError](err)
	record, noTLS := errors.AsType[tls.RecordHeaderError](err)
	switch {
	case isAlert(err):
		if why := alertWords(err, files, own); why != "" {
			return fmt.Errorf("%w: %s", err, why)
		}
	case noTLS:
		return fmt.Errorf("what answers there does not speak TLS; is it nicferryd's listen.address? (%s)", record.Msg)
	case isInvalid && invalid.Reason == x509.Expired:
		return fmt.Errorf("%w; the controller's certificate is good from %s to %s: renew it there, or set this machine's clock",
			err, day(invalid.Cert.NotBefore), day(invalid.Cert.NotAfter))
	case unknown:
		return fmt.Errorf("%w; the controller's certificate is signed by none of %s: give the CA that signs it", err, files.CA)
	case wrongHost:
		return fmt.Errorf("%w; use an address that is in the controller's certificate, or make it out for %s", err, host.Host)
	}
	return err
}

// isAlert says whether the other end of a TLS connection said no.
func isAlert(err error) bool {
	op, ok := errors.AsType[*net.OpError](err)
	return ok && op.Op == "remote error"
}

// alertWords says what an alert means for our own certificate. The type of
// alerts is not exported, so their text has to tell.
func alertWords(err error, files Files, own *x509.Certificate) string {
	text := err.Error()
	switch {
	case strings.Contains(text, "expired certificate"):
		return fmt.Sprintf("to the controller the time of certificate %s is not now: it is good from %s to %s, and it is %s here; renew it, or set the clocks",
			files.Cert, day(own.NotBefore), day(own.NotAfter), day(time.Now()))
	case strings.Contains(text, "unknown certificate authority"):
		return fmt.Sprintf("the controller does not know who signed certificate %s (%s); have it signed by what is in its listen.clientCA", files.Cert, own.Issuer)
	case strings.Contains(text, "bad certificate"):
		return fmt.Sprintf("the controller does not take certificate %s; it must be made out for TLS clients and signed by what is in its listen.clientCA", files.Cert)
	case strings.Contains(text, "protocol version"):
		return "what answers there does not speak TLS 1.3"
	}
	return ""
}

func day(t time.Time) string { return t.UTC().Format(time.RFC3339) }
