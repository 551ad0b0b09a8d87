// Keys that are too weak can be made here, to be refused.
//
//go:debug rsa1024min=0
package authority_test

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"net/netip"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/nicferry/nicferry/internal/api"
	"github.com/nicferry/nicferry/internal/authority"
	"github.com/nicferry/nicferry/internal/mtls"
	"github.com/nicferry/nicferry/internal/mtls/mtlstest"
	"github.com/nicferry/nicferry/nic"
)

func signed(t *testing.T, key crypto.Signer, edit ...func(*x509.CertificateRequest)) []byte {
	t.Helper()
	template := &x509.CertificateRequest{Subject: pkix.Name{CommonName: "vm2", Organization: []string{mtls.AdminOrganisation}}, DNSNames: []string{"vm2"}}
	for _, e := range edit {
		e(template)
	}
	der, err := x509.CreateCertificateRequest(rand.Reader, template, key)
	if err != nil {
		t.Fatal(err)
	}
	return der
}

func asPEM(kind string, der []byte) string {
	return string(pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}))
}

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

// Only keys that are strong, and not too dear to check, get a certificate, and
// only for who has them.
func TestRequestsForCertificates(t *testing.T) {
	t.Parallel()
	r := begin(t, newMem(t))
	p256 := must(ecdsa.GenerateKey(elliptic.P256(), rand.Reader))
	_, ed, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	good := signed(t, p256)
	forged := append([]byte(nil), good...)
	forged[len(forged)-1] ^= 1
	const kind = "CERTIFICATE REQUEST"
	for name, tc := range map[string]struct {
		csr  string
		want string // empty if it is good
	}{
		"P-256":          {asPEM(kind, good), ""},
		"Ed25519":        {asPEM(kind, signed(t, ed)), ""},
		"RSA 2048":       {asPEM(kind, signed(t, must(rsa.GenerateKey(rand.Reader, 2048)))), ""},
		"RSA 1024":       {asPEM(kind, signed(t, must(rsa.GenerateKey(rand.Reader, 1024)))), "1024 bits; want 2048"},
		"P-384":          {asPEM(kind, signed(t, must(ecdsa.GenerateKey(elliptic.P384(), rand.Reader)))), "want ECDSA P-256"},
		"forged":         {asPEM(kind, forged), "not signed with its own key"},
		"cut":            {asPEM(kind, good[:len(good)-20]), "is no certificate signing request"},
		"two":            {asPEM(kind, good) + asPEM(kind, good), "want one certificate signing request"},
		"a certificate":  {r.CA(), "want one certificate signing request"},
		"a key":          {string(mtlstest.Key(t)), "want one certificate signing request"},
		"nothing":        {"", "want one certificate signing request"},
		"large":          {strings.Repeat("x", 16<<10+1), "at most"},
		"another's name": {asPEM(kind, signed(t, p256, func(c *x509.CertificateRequest) { c.Subject.CommonName = "../../x" })), ""},
	} {
		token := r.token(api.TokenRequest{Node: "vm1"})
		issued, err := r.Join(t.Context(), api.JoinRequest{Token: token.Text, CSR: tc.csr})
		if tc.want == "" {
			if err != nil {
				t.Errorf("%s: %v", name, err)
				continue
			}
			peer := r.Peer([]*x509.Certificate{parse(t, issued.Certificate)})
			if peer.Role != mtls.Node || len(peer.Names) != 1 || !peer.Itself("vm1") {
				t.Errorf("%s: got %+v", name, peer)
			}
			continue
		}
		if faults := nic.AsFaults(err); len(faults) != 1 || faults[0].Field != "body.csr" || !strings.Contains(err.Error(), tc.want) {
			t.Errorf("%s: %v, want %q", name, err, tc.want)
		}
		if _, err := r.Join(t.Context(), api.JoinRequest{Token: token.Text, CSR: asPEM(kind, good)}); err != nil {
			t.Errorf("%s: the token is gone: %v", name, err)
		}
	}
}

func TestRenew(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r := begin(t, newMem(t))
		token, key := r.token(api.TokenRequest{Node: "vm1"}), mtlstest.Key(t)
		issued, err := r.Join(t.Context(), api.JoinRequest{Token: token.Text, CSR: mtlstest.Request(t, key)})
		if err != nil {
			t.Fatal(err)
		}
		chain := func() []*x509.Certificate { return []*x509.Certificate{parse(t, issued.Certificate)} }
		for _, pause := range []time.Duration{16 * time.Hour, 22 * time.Hour, 25 * time.Hour, 30 * 24 * time.Hour} {
			time.Sleep(pause)
			peer := r.Peer(chain())
			if peer.Join != 1 || peer.Expired != (pause > 23*time.Hour) {
				t.Fatalf("after %s: %+v", pause, peer)
			}
			if issued, err = r.Renew(t.Context(), peer, mtlstest.Request(t, mtlstest.Key(t))); err != nil || issued.Node != "vm1" {
				t.Fatalf("after %s: %v", pause, err)
			}
		}
		time.Sleep(31*24*time.Hour + time.Minute)
		peer := r.Peer(chain())
		if peer.Role != mtls.Nobody || !strings.Contains(peer.Why, "too long ago to be renewed") || !strings.Contains(peer.Why, "nicferry token create --node vm1") {
			t.Errorf("after a month: %+v", peer)
		}
		for _, p := range []mtls.Peer{peer, {Role: mtls.Admin}, {Role: mtls.Node, Names: []string{"vm1"}}, {Role: mtls.Viewer}} {
			if _, err := r.Renew(t.Context(), p, mtlstest.Request(t, key)); !refusedWith(err, "has no certificate of a join") {
				t.Errorf("%s renews: %v", p, err)
			}
		}
		peer = r.joined("vm1")
		r.config.set("vm1", nil)
		if _, err := r.Renew(t.Context(), peer, mtlstest.Request(t, key)); !refusedWith(err, "any more") {
			t.Errorf("one that may not join any more: %v", err)
		}
	})
}

func TestPeoplesCertificates(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r := begin(t, newMem(t))
		csr := mtlstest.Request(t, mtlstest.Key(t))
		day := nic.Duration(24 * time.Hour)
		issued, err := r.IssueUser(t.Context(), api.CertificateRequest{Name: "vm1", Role: "viewer", TTL: 90 * day, CSR: csr})
		if err != nil {
			t.Fatal(err)
		}
		chain := []*x509.Certificate{parse(t, issued.Certificate)}
		if peer := r.Peer(chain); peer.Role != mtls.Viewer || peer.User != "vm1" || peer.Itself("vm1") || peer.Is("vm1") {
			t.Errorf("a viewer is %+v", peer)
		}
		time.Sleep((90*day + nic.Duration(time.Second)).D())
		if peer := r.Peer(chain); peer.Role != mtls.Nobody || !strings.Contains(peer.Why, "nicferry certificate create") {
			t.Errorf("after its time: %+v", peer)
		}
		for name, tc := range map[string]struct {
			req   api.CertificateRequest
			field string
		}{
			"too long":  {api.CertificateRequest{Name: "a", Role: "admin", TTL: 90*day + 1, CSR: csr}, "body.ttl"},
			"too short": {api.CertificateRequest{Name: "a", Role: "admin", CSR: csr}, "body.ttl"},
			"a node":    {api.CertificateRequest{Name: "a", Role: "node", TTL: day, CSR: csr}, "body.role"},
			"no name":   {api.CertificateRequest{Role: "admin", TTL: day, CSR: csr}, "body.name"},
			"no CSR":    {api.CertificateRequest{Name: "a", Role: "admin", TTL: day}, "body.csr"},
		} {
			_, err := r.IssueUser(t.Context(), tc.req)
			if faults := nic.AsFaults(err); len(faults) != 1 || faults[0].Field != tc.field {
				t.Errorf("%s: %v", name, err)
			}
		}
	})
}

// Where the operators have certificates of their own, nobody gets one here, and
// who is revoked is known all the same.
func TestRefuse(t *testing.T) {
	t.Parallel()
	r := begin(t, newMem(t), func(o *authority.Options) { o.Refuse = "not here" })
	for name, err := range map[string]error{
		"token": second(r.CreateToken(t.Context(), api.TokenRequest{Node: "vm1"})),
		"join":  second(r.Join(t.Context(), api.JoinRequest{})),
		"renew": second(r.Renew(t.Context(), mtls.Peer{}, "")),
		"user":  second(r.IssueUser(t.Context(), api.CertificateRequest{})),
	} {
		if !refusedWith(err, "not here") {
			t.Errorf("%s: %v", name, err)
		}
	}
	if err := r.Check(t.Context(), mtls.Peer{Role: mtls.Node, Names: []string{"vm1", "vm1.lab"}}); err != nil {
		t.Errorf("an operator's certificate: %v", err)
	}
}

func second[T any](_ T, err error) error { return err }

// The controller's certificate says all that it is called, and is renewed by
// itself: with time, and when the machine has other addresses.
func TestServerCertificate(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		addrs := []netip.Addr{netip.MustParseAddr("10.0.0.1"), netip.MustParseAddr("fd00::1")}
		r := begin(t, newMem(t), func(o *authority.Options) {
			o.Address, o.Names = "0.0.0.0:7460", []string{"nf.example", "203.0.113.7"}
			o.Addresses = func() ([]netip.Addr, error) { return addrs, nil }
		})
		roots := x509.NewCertPool()
		roots.AddCert(parse(t, r.CA()))
		check := func(names ...string) *x509.Certificate {
			t.Helper()
			pair, err := r.Certificate()
			if err != nil {
				t.Fatal(err)
			}
			for _, name := range names {
				if _, err := pair.Leaf.Verify(x509.VerifyOptions{Roots: roots, DNSName: name}); err != nil {
					t.Errorf("as %s: %v", name, err)
				}
			}
			if ca, err := x509.ParseCertificate(pair.Certificate[1]); err != nil || mtls.Fingerprint(ca) != r.Fingerprint() {
				t.Errorf("the CA does not go along: %v", err)
			}
			return pair.Leaf
		}
		first := check("nf.example", "203.0.113.7", "10.0.0.1", "fd00::1", "127.0.0.1", "::1", "localhost")
		time.Sleep(19 * 24 * time.Hour)
		if again := check(); again.SerialNumber.Cmp(first.SerialNumber) != 0 {
			t.Error("renewed before two thirds of its time")
		}
		addrs = append(addrs, netip.MustParseAddr("10.0.9.9"))
		time.Sleep(time.Minute)
		other := check("10.0.9.9", "10.0.0.1")
		time.Sleep(365 * 24 * time.Hour)
		if renewed := check("10.0.9.9"); renewed.SerialNumber.Cmp(other.SerialNumber) == 0 {
			t.Error("not renewed")
		}
		want := []string{"https://nf.example:7460", "https://203.0.113.7:7460", "https://10.0.0.1:7460", "https://[fd00::1]:7460"}
		if got := r.Addresses(); strings.Join(got, " ") != strings.Join(want, " ") {
			t.Errorf("addresses %q", got)
		}
	})
}
