package mtls_test

import (
	"crypto/x509"
	"crypto/x509/pkix"
	"log/slog"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"

	"github.com/nicferry/nicferry/internal/lab/certs"
	"github.com/nicferry/nicferry/internal/mtls"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// Each fault of the files is told at the start, with the file.
func TestFaultsOfFiles(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	ca, err := certs.New(filepath.Join(dir, "ca"))
	if err != nil {
		t.Fatal(err)
	}
	one, err := ca.Node("n1")
	if err != nil {
		t.Fatal(err)
	}
	two, err := ca.Node("n2")
	if err != nil {
		t.Fatal(err)
	}
	file := func(name, text string, mode os.FileMode) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(text), mode); err != nil {
			t.Fatal(err)
		}
		if err := os.Chmod(path, mode); err != nil { // whatever the umask
			t.Fatal(err)
		}
		return path
	}
	secret, err := os.ReadFile(one.Key)
	if err != nil {
		t.Fatal(err)
	}
	for name, tc := range map[string]struct {
		edit func(*mtls.Files)
		want string
	}{
		"good":               {func(*mtls.Files) {}, ""},
		"group may read":     {func(f *mtls.Files) { f.Key = file("group.key", string(secret), 0o640) }, ""},
		"others may read":    {func(f *mtls.Files) { f.Key = file("open.key", string(secret), 0o644) }, "open.key is open to every user (mode 0644); chmod 600 it"},
		"no CA":              {func(f *mtls.Files) { f.CA = filepath.Join(dir, "none") }, "read CA: stat " + filepath.Join(dir, "none")},
		"empty CA":           {func(f *mtls.Files) { f.CA = file("empty", "", 0o600) }, "holds no certificate"},
		"a key for a CA":     {func(f *mtls.Files) { f.CA = one.Key }, "holds no certificate"},
		"a directory":        {func(f *mtls.Files) { f.Cert = dir }, "is not a file"},
		"a device":           {func(f *mtls.Files) { f.Cert = "/dev/zero" }, "is not a file"},
		"large":              {func(f *mtls.Files) { f.Cert = file("large", strings.Repeat("x", 1<<20+1), 0o600) }, "is larger than"},
		"not PEM":            {func(f *mtls.Files) { f.Cert = file("text", "hello", 0o600) }, "use certificate"},
		"another's key":      {func(f *mtls.Files) { f.Key = two.Key }, "does not match"},
		"no key":             {func(f *mtls.Files) { f.Key = filepath.Join(dir, "none") }, "read key: "},
		"the wrong way":      {func(f *mtls.Files) { f.Cert, f.Key = f.Key, f.Cert }, "is open to every user"},
		"nothing in the key": {func(f *mtls.Files) { f.Key = file("nil.key", "", 0o600) }, "use certificate"},
	} {
		files := mtls.Files(one)
		tc.edit(&files)
		_, err := mtls.NewClient(files, slog.New(slog.DiscardHandler))
		if (err == nil) != (tc.want == "") || err != nil && !strings.Contains(err.Error(), tc.want) {
			t.Errorf("%s: got %v, want %q", name, err, tc.want)
		}
		if err != nil && strings.Contains(err.Error(), string(secret[40:80])) {
			t.Errorf("%s: the error tells the key: %v", name, err)
		}
	}
}

func TestPeer(t *testing.T) {
	t.Parallel()
	node := func(names ...string) mtls.Peer { return mtls.Peer{Role: mtls.Node, Names: names} }
	for name, tc := range map[string]struct {
		cert x509.Certificate
		want mtls.Peer
	}{
		"common name": {x509.Certificate{Subject: pkix.Name{CommonName: "n1"}}, node("n1")},
		"DNS names":   {x509.Certificate{Subject: pkix.Name{CommonName: "n1"}, DNSNames: []string{"n1", "n1.lab"}}, node("n1", "n1.lab")},
		"nobody":      {x509.Certificate{}, mtls.Peer{}},
		"admin": {
			x509.Certificate{Subject: pkix.Name{CommonName: "n1", Organization: []string{"x", mtls.AdminOrganisation}}},
			mtls.Peer{Role: mtls.Admin, User: "n1"},
		},
		"viewer": {
			x509.Certificate{Subject: pkix.Name{CommonName: "n1", Organization: []string{mtls.ViewerOrganisation}}, DNSNames: []string{"n1"}},
			mtls.Peer{Role: mtls.Viewer, User: "n1"},
		},
		"unit only": {x509.Certificate{Subject: pkix.Name{OrganizationalUnit: []string{mtls.AdminOrganisation}}}, mtls.Peer{}},
		"joined": {
			x509.Certificate{Subject: pkix.Name{CommonName: "n1"}, DNSNames: []string{"n2"}, URIs: []*url.URL{mtls.NodeURI("n1", 7)}},
			mtls.Peer{Role: mtls.Node, Names: []string{"n1"}, Join: 7},
		},
		"joined as an admin": {
			x509.Certificate{Subject: pkix.Name{Organization: []string{mtls.AdminOrganisation}}, URIs: []*url.URL{mtls.NodeURI("n1", 7)}},
			mtls.Peer{Role: mtls.Admin},
		},
		"joined never": {x509.Certificate{URIs: []*url.URL{mtls.NodeURI("n1", 0), mtls.NodeURI("", 3)}}, mtls.Peer{}},
	} {
		p := mtls.PeerOf(&tc.cert)
		if diff := cmp.Diff(tc.want, p); diff != "" {
			t.Errorf("%s: -want +got:\n%s", name, diff)
		}
		admin, itself := p.Role == mtls.Admin, slices.Contains(p.Names, "n1")
		if p.Is("n2") != admin || p.Is("") != admin || p.Is("n1") != (admin || itself) || p.Itself("n1") != itself || p.Admin() != admin {
			t.Errorf("%s: may act as a node that it is not", name)
		}
	}
}
