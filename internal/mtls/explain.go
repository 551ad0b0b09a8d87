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

// own is this end's certificate; zero without one.
type own struct {
	files Files
	leaf  *x509.Certificate
}

// explain says what to do about an error of a connection to a controller.
// Other errors come back as they are.
func explain(err error, own own) error {
	invalid, isInvalid := errors.AsType[x509.CertificateInvalidError](err)
	_, unknown := errors.AsType[x509.UnknownAuthorityError](err)
	host, wrongHost := errors.AsType[x509.HostnameError](err)
	record, noTLS := errors.AsType[tls.RecordHeaderError](err)
	switch {
	case isAlert(err):
		if why := alertWords(err, own); why != "" {
			return fmt.Errorf("%w: %s", err, why)
		}
	case noTLS:
		return fmt.Errorf("what answers there does not speak TLS; is it nicferryd's listen.address? (%s)", record.Msg)
	case isInvalid && invalid.Reason == x509.Expired:
		return fmt.Errorf("%w; %s", err, clockWords(invalid.Cert, time.Now()))
	case unknown && own.leaf != nil:
		return fmt.Errorf("%w; the controller's certificate is signed by none of %s: give the CA that signs it; a controller that has lost its store has made another: join it anew with nicferry-agent join --force, people by nicferry certificate create", err, own.files.CA)
	case wrongHost:
		return fmt.Errorf("%w; use an address that is in the controller's certificate, or make it out for %s (listen.names in nicferryd's config)", err, host.Host)
	}
	return err
}

// clockWords says what to do about a controller's certificate whose time is not
// now.
func clockWords(cert *x509.Certificate, now time.Time) string {
	span := fmt.Sprintf("the controller's certificate is good from %s to %s, and here it is %s", stamp(cert.NotBefore), stamp(cert.NotAfter), stamp(now))
	if now.Before(cert.NotBefore) {
		return fmt.Sprintf("%s: this machine's clock is at least %s behind the controller's; set this machine's clock (timedatectl), or the controller's if that is ahead",
			span, cert.NotBefore.Sub(now).Round(time.Minute))
	}
	return span + ": renew it there, or set this machine's clock if that is ahead (timedatectl)"
}

// TurnedAway says at the controller's end what to do about a handshake that
// failed, by the text of its error; empty if there is nothing to say.
func TurnedAway(text string) string {
	switch {
	case !strings.Contains(text, "TLS handshake error"):
		return ""
	case strings.Contains(text, "remote error: tls: bad certificate"), strings.Contains(text, "remote error: tls: expired certificate"),
		strings.Contains(text, "remote error: tls: unknown certificate"):
		return "the other end does not take this controller's certificate: its clock, its CA or the address that it used is wrong, and it says there which; compare its clock with this machine's"
	case strings.Contains(text, "certificate has expired or is not yet valid"):
		return "to this machine the time of the other end's certificate is not now: renew it, or compare its clock with this machine's"
	case strings.Contains(text, "certificate signed by unknown authority"):
		return "the other end's certificate is signed by nothing in listen.clientCA"
	case strings.Contains(text, "client didn't provide a certificate"):
		return "with listen.clientCA every client needs a certificate"
	}
	return ""
}

// isAlert says whether the other end of a TLS connection said no.
func isAlert(err error) bool {
	op, ok := errors.AsType[*net.OpError](err)
	return ok && op.Op == "remote error"
}

// alertWords says what an alert means for our own certificate. The type of
// alerts is not exported, so their text has to tell.
func alertWords(err error, own own) string {
	files, leaf := own.files, own.leaf
	text := err.Error()
	switch {
	case strings.Contains(text, "protocol version"):
		return "what answers there does not speak TLS 1.3"
	case strings.Contains(text, "certificate required"):
		return "the controller wants a certificate that is signed by what is in its listen.clientCA, and takes no tokens"
	case leaf == nil:
		return ""
	case strings.Contains(text, "expired certificate"):
		return fmt.Sprintf("to the controller the time of certificate %s is not now: it is good from %s to %s, and it is %s here; renew it, or set the clocks",
			files.Cert, stamp(leaf.NotBefore), stamp(leaf.NotAfter), stamp(time.Now()))
	case strings.Contains(text, "unknown certificate authority"):
		return fmt.Sprintf("the controller does not know who signed certificate %s (%s); have it signed by what is in its listen.clientCA", files.Cert, leaf.Issuer)
	case strings.Contains(text, "bad certificate"):
		return fmt.Sprintf("the controller does not take certificate %s; it must be made out for TLS clients and signed by what is in its listen.clientCA", files.Cert)
	}
	return ""
}

func stamp(t time.Time) string { return t.UTC().Format(time.RFC3339) }
