package server_test

import (
	"context"
	"crypto/x509"
	"encoding/pem"
	"log/slog"
	"net/netip"
	"os"
	"path/filepath"
	"testing"

	"github.com/nicferry/nicferry/internal/api"
	"github.com/nicferry/nicferry/internal/api/client"
	"github.com/nicferry/nicferry/internal/api/server"
	"github.com/nicferry/nicferry/internal/authority"
	"github.com/nicferry/nicferry/internal/mtls"
	"github.com/nicferry/nicferry/internal/mtls/mtlstest"
	"github.com/nicferry/nicferry/internal/store/memstore"
	"github.com/nicferry/nicferry/nic"
)

// newAuthority is a controller's own, which lets n1 to n3 in.
func newAuthority(t *testing.T, log *slog.Logger, edit ...func(*authority.Options)) *authority.Authority {
	t.Helper()
	records := memstore.New(memstore.Options{})
	t.Cleanup(func() { records.Close() })
	opts := authority.Options{
		Store: records, Log: log, Address: "127.0.0.1:7460", Names: []string{"localhost"},
		Instances: func(node string) (map[string]nic.InstanceID, bool) {
			return map[string]nic.InstanceID{"local": nic.InstanceID(node)}, node == "n1" || node == "n2" || node == "n3"
		},
		Addresses: func() ([]netip.Addr, error) { return []netip.Addr{netip.MustParseAddr("127.0.0.1")}, nil },
	}
	for _, e := range edit {
		e(&opts)
	}
	a, err := authority.Open(t.Context(), opts)
	if err != nil {
		t.Fatal(err)
	}
	return a
}

// ownController is a controller with its own authority that serves on loopback.
type ownController struct {
	*controller
	address string // with https://
}

func startOwn(t *testing.T, edit ...func(*server.Options)) *ownController {
	t.Helper()
	ctl := &ownController{controller: start(t, edit...)}
	ctl.address = ctl.serve(ctl.trust)
	return ctl
}

// serve serves with an authority until the test ends, and returns where.
func (c *ownController) serve(trust *authority.Authority) string {
	c.t.Helper()
	opts := c.opts
	opts.Trust = trust
	handler := server.New(opts) // first, as by controller.Start
	ln, err := server.ListenOwn("127.0.0.1:0", trust.Certificate, c.opts.Log)
	if err != nil {
		c.t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- server.Run(ctx, ln, handler, opts.Log) }()
	c.t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			c.t.Errorf("server ended with %v", err)
		}
	})
	return "https://" + ln.Addr().String()
}

// newcomer is a client that knows the controller by a token and shows nothing.
func (c *ownController) newcomer(token api.NewToken) *client.Client {
	c.t.Helper()
	content, err := api.ParseToken(token.Text)
	if err != nil {
		c.t.Fatal(err)
	}
	return c.open(client.Options{Addresses: []string{c.address}, Fingerprint: content.CA})
}

func (c *ownController) open(opts client.Options) *client.Client {
	c.t.Helper()
	opts.Log, opts.Retries = c.opts.Log, -1
	cl, err := client.Open(opts)
	if err != nil {
		c.t.Fatal(err)
	}
	c.t.Cleanup(cl.Close)
	return cl
}

// token makes a token over the socket.
func (c *ownController) token(node string) api.NewToken {
	c.t.Helper()
	token, err := c.client().CreateToken(c.t.Context(), api.TokenRequest{Node: node})
	if err != nil {
		c.t.Fatal(err)
	}
	return token
}

// join lets a node join, and returns its client and files.
func (c *ownController) join(node string) (*client.Client, mtls.Files) {
	c.t.Helper()
	token, key := c.token(node), mtlstest.Key(c.t)
	issued, err := c.newcomer(token).Join(c.t.Context(), token.Text, mtlstest.Request(c.t, key))
	if err != nil {
		c.t.Fatal(err)
	}
	files := keep(c.t, issued, key)
	return c.open(client.Options{Addresses: []string{c.address}, TLS: files}), files
}

// person is the client of somebody with a role.
func (c *ownController) person(name, role string) *client.Client {
	c.t.Helper()
	key := mtlstest.Key(c.t)
	issued, err := c.client().CreateCertificate(c.t.Context(), api.CertificateRequest{Name: name, Role: role, TTL: nic.Duration(authority.MaxUser), CSR: mtlstest.Request(c.t, key)})
	if err != nil {
		c.t.Fatal(err)
	}
	return c.open(client.Options{Addresses: []string{c.address}, TLS: keep(c.t, issued, key)})
}

// keep writes what was issued into files.
func keep(t *testing.T, issued api.Issued, key []byte) mtls.Files {
	t.Helper()
	dir := t.TempDir()
	files := mtls.Files{CA: filepath.Join(dir, "ca.pem"), Cert: filepath.Join(dir, "cert.pem"), Key: filepath.Join(dir, "key.pem")}
	for path, text := range map[string]string{files.CA: issued.CA, files.Cert: issued.Certificate, files.Key: string(key)} {
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return files
}

func parse(t *testing.T, text string) *x509.Certificate {
	t.Helper()
	block, _ := pem.Decode([]byte(text))
	cert, err := x509.ParseCertificate(block.Bytes)
	if err != nil {
		t.Fatal(err)
	}
	return cert
}
