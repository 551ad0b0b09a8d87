package doctor

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io/fs"
	"time"

	"github.com/nicferry/nicferry/internal/mtls"
)

// checkCertificates reads what the agent shows to its controller.
func checkCertificates(_ context.Context, v *visit) {
	id, ok := v.identity()
	if !ok || id.files == (mtls.Files{}) {
		v.ok("the agent of this machine, if there is one, goes by a socket, which asks for none")
		return
	}
	remedy := "have the certificate made anew, and put it to " + id.files.Cert
	if id.joined {
		remedy = joinAnew(id)
	}
	cert := v.checkPair(id.files, x509.ExtKeyUsageClientAuth, remedy)
	if cert == nil {
		return
	}
	v.checkTime(cert, id, remedy)
	if v.quiet() {
		v.ok("the agent's certificate, of %s, is good until %s", cert.Subject.CommonName, stamp(cert.NotAfter))
	}
}

// joinAnew is what gives a machine that has joined another certificate.
func joinAnew(id identity) string {
	return "nicferry token create --node " + or(id.node, "NODE") + " at the controller, and here: nicferry-agent join --force ADDRESS TOKEN"
}

// checkPair reads a certificate, its key and what signs it. It returns the
// certificate if that can be read.
func (v *visit) checkPair(files mtls.Files, use x509.ExtKeyUsage, remedy string) *x509.Certificate {
	chain := v.checkKey(files, remedy)
	ca, readable := v.file(files.CA, remedy)
	if len(chain) == 0 {
		return nil
	}
	if readable {
		v.checkSigned(chain, mtls.Certificates([]byte(ca)), files, use, remedy)
	}
	return chain[0]
}

// checkKey reads a certificate and its key, and returns the certificate with
// those that come with it; none if it cannot be read.
func (v *visit) checkKey(files mtls.Files, remedy string) []*x509.Certificate {
	cert, readable := v.file(files.Cert, remedy)
	key, keyReadable := v.file(files.Key, remedy)
	if !readable {
		return nil
	}
	chain := mtls.Certificates([]byte(cert))
	switch {
	case len(chain) == 0:
		v.fail(remedy, "%s holds no certificate in PEM", files.Cert)
	case keyReadable:
		v.checkMatch(cert, key, files, remedy)
	}
	return chain
}

func (v *visit) checkMatch(cert, key string, files mtls.Files, remedy string) {
	if _, err := tls.X509KeyPair([]byte(cert), []byte(key)); err != nil {
		v.fail(remedy, "%s is not the key of %s: %v", files.Key, files.Cert, err)
	}
}

// checkSigned verifies a certificate as of its own last moment, so that its time
// is told of once.
func (v *visit) checkSigned(chain, authorities []*x509.Certificate, files mtls.Files, use x509.ExtKeyUsage, remedy string) {
	if len(authorities) == 0 {
		v.fail(remedy, "%s holds no certificate in PEM", files.CA)
		return
	}
	roots, between := x509.NewCertPool(), x509.NewCertPool()
	for _, a := range authorities {
		roots.AddCert(a)
	}
	for _, c := range chain[1:] {
		between.AddCert(c)
	}
	now := v.Now()
	if now.After(chain[0].NotAfter) || now.Before(chain[0].NotBefore) {
		now = chain[0].NotAfter
	}
	_, err := chain[0].Verify(x509.VerifyOptions{Roots: roots, Intermediates: between, CurrentTime: now, KeyUsages: []x509.ExtKeyUsage{use}})
	if err != nil {
		v.fail(remedy, "%s is not signed by %s, or not for this use: %v", files.Cert, files.CA, err)
	}
}

// renewLate is the part of a certificate's life after which the agent should
// have renewed it: it begins at two thirds.
const renewLate = 0.85

// checkTime says when a certificate begins and ends.
func (v *visit) checkTime(cert *x509.Certificate, id identity, remedy string) {
	now := v.Now()
	life := cert.NotAfter.Sub(cert.NotBefore)
	late := cert.NotBefore.Add(time.Duration(renewLate * float64(life)))
	switch {
	case now.Before(cert.NotBefore):
		v.fail("timedatectl set-ntp true", "the certificate is good from %s on, and it is %s here: one of the clocks is wrong", stamp(cert.NotBefore), stamp(now))
	case now.After(cert.NotAfter):
		if id.joined && now.Sub(cert.NotAfter) <= mtls.ExpiredGrace {
			remedy = "systemctl restart nicferry-agent, which has it renewed; or " + remedy
		}
		v.fail(remedy, "the certificate ended at %s", stamp(cert.NotAfter))
	case id.joined && now.After(late):
		v.warn("journalctl -u nicferry-agent", "the certificate ends at %s and should have been renewed by now", stamp(cert.NotAfter))
	case !id.joined && cert.NotAfter.Sub(now) < soon:
		v.warn(remedy, "the certificate ends at %s", stamp(cert.NotAfter))
	}
}

// file reads a file that must be there.
func (v *visit) file(name, remedy string) (string, bool) {
	text, ok := v.read(name)
	if ok {
		return text, true
	}
	switch err := v.unreadable(name); {
	case errors.Is(err, fs.ErrPermission):
		v.warn("run it as root", "cannot look: %s may not be read by this user", name)
	case errors.Is(err, fs.ErrNotExist):
		v.fail(remedy, "%s is not there", name)
	default:
		v.fail("rm -r "+name+", and then: "+remedy, "%s is no file", name)
	}
	return "", false
}

func stamp(t time.Time) string { return t.UTC().Format(time.RFC3339) }

func or(s, otherwise string) string {
	if s == "" {
		return otherwise
	}
	return s
}
