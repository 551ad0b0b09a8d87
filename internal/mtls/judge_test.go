package mtls_test

import (
	"crypto/x509"
	"encoding/pem"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/nicferry/nicferry/internal/lab/certs"
	"github.com/nicferry/nicferry/internal/mtls"
)

func read(t *testing.T, path string) *x509.Certificate {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	block, _ := pem.Decode(text)
	cert, err := x509.ParseCertificate(block.Bytes)
	if err != nil {
		t.Fatal(err)
	}
	return cert
}

func TestJudge(t *testing.T) {
	t.Parallel()
	ca, err := certs.New(filepath.Join(t.TempDir(), "ca"))
	if err != nil {
		t.Fatal(err)
	}
	other, err := certs.New(filepath.Join(t.TempDir(), "other"))
	if err != nil {
		t.Fatal(err)
	}
	issue := func(ca *certs.CA, leaf certs.Leaf) []*x509.Certificate {
		pair, err := ca.Issue(leaf)
		if err != nil {
			t.Fatal(err)
		}
		return []*x509.Certificate{read(t, pair.Cert), read(t, pair.CA)}
	}
	from := time.Now().Truncate(time.Second)
	until := from.Add(24 * time.Hour)
	node := issue(ca, certs.Leaf{File: "n1", CommonName: "n1", NotBefore: from, NotAfter: until})
	admin := issue(ca, certs.Leaf{File: "a", CommonName: "a", Organisation: mtls.AdminOrganisation, NotBefore: from, NotAfter: until})
	roots := x509.NewCertPool()
	roots.AddCert(node[1])
	for name, tc := range map[string]struct {
		chain   []*x509.Certificate
		at      time.Time
		role    mtls.Role
		expired bool
		why     string
	}{
		"nothing shown":      {nil, from, mtls.Nobody, false, ""},
		"at first":           {node, from, mtls.Node, false, ""},
		"at last":            {node, until, mtls.Node, false, ""},
		"too early":          {node, from.Add(-time.Second), mtls.Nobody, false, "set the controller's clock"},
		"a day early":        {node, from.Add(-24 * time.Hour), mtls.Nobody, false, "set the controller's clock"},
		"just over":          {node, until.Add(time.Second), mtls.Node, true, ""},
		"over for a month":   {node, until.Add(mtls.ExpiredGrace), mtls.Node, true, ""},
		"over for longer":    {node, until.Add(mtls.ExpiredGrace + time.Second), mtls.Nobody, false, "nicferry token create --node n1"},
		"an admin":           {admin, from, mtls.Admin, false, ""},
		"an admin, over":     {admin, until.Add(time.Second), mtls.Nobody, false, "nicferry certificate create"},
		"another CA":         {issue(other, certs.Leaf{File: "x", CommonName: "n1", Organisation: mtls.AdminOrganisation}), from, mtls.Nobody, false, "not by this controller"},
		"another CA, over":   {issue(other, certs.Leaf{File: "y", CommonName: "n1", NotAfter: from.Add(-time.Hour)}), from, mtls.Nobody, false, "not by this controller"},
		"for servers":        {issue(ca, certs.Leaf{File: "s", CommonName: "n1", Server: true}), from, mtls.Nobody, false, "not by this controller"},
		"the CA's own":       {node[1:], from, mtls.Nobody, false, "not by this controller"},
		"without any rights": {issue(ca, certs.Leaf{File: "z"}), from, mtls.Nobody, false, ""},
		"its own CA along":   {append(issue(other, certs.Leaf{File: "w", CommonName: "n1"}), node...), from, mtls.Nobody, false, "not by this controller"},
	} {
		p := mtls.Judge(tc.chain, roots, tc.at)
		if p.Role != tc.role || p.Expired != tc.expired || (p.Why == "") != (tc.why == "") || !strings.Contains(p.Why, tc.why) {
			t.Errorf("%s: %+v, want %q, expired %t, %q", name, p, tc.role, tc.expired, tc.why)
		}
	}
}

func TestKeysAndRequests(t *testing.T) {
	t.Parallel()
	key, err := mtls.NewKey()
	if err != nil {
		t.Fatal(err)
	}
	text, err := mtls.Request(key)
	if err != nil {
		t.Fatal(err)
	}
	block, _ := pem.Decode(text)
	csr, err := x509.ParseCertificateRequest(block.Bytes)
	if err != nil || csr.CheckSignature() != nil || csr.Subject.String() != "" {
		t.Errorf("request %+v, %v", csr, err)
	}
	for _, bad := range [][]byte{nil, []byte("x"), text, key[:len(key)/2]} {
		if _, err := mtls.Request(bad); err == nil {
			t.Errorf("a request for %.30q", bad)
		}
	}
	for _, bad := range []string{"", "x", strings.Repeat("0", 63), strings.Repeat("g", 64)} {
		if _, err := mtls.NewPinned(bad); err == nil {
			t.Errorf("fingerprint %q", bad)
		}
	}
}
