package server_test

import (
	"context"
	"crypto/tls"
	"io"
	"net/http"
	"path/filepath"
	"strings"
	"testing"

	"github.com/nicferry/nicferry/internal/api/client"
	"github.com/nicferry/nicferry/internal/api/server"
	"github.com/nicferry/nicferry/internal/lab/certs"
	"github.com/nicferry/nicferry/internal/mtls"
)

// tlsController is a controller that serves over TLS on loopback besides its
// socket, with a CA of the test's.
type tlsController struct {
	*controller
	ca      *certs.CA
	address string // host and port
}

func startTLS(t *testing.T, edit ...func(*server.Options)) *tlsController {
	t.Helper()
	ctl := &tlsController{controller: start(t, edit...), ca: newCA(t)}
	ctl.address = ctl.serve(issue(t, ctl.ca, certs.Leaf{File: "nicferryd", CommonName: "nicferryd", Names: []string{"localhost"}, Server: true}))
	return ctl
}

// serve serves with a pair until the test ends, and returns where.
func (c *tlsController) serve(pair certs.Pair) string {
	c.t.Helper()
	handler := server.New(c.opts) // first, as by controller.Start
	ln, err := server.ListenTLS("127.0.0.1:0", mtls.Files(pair), c.opts.Log)
	if err != nil {
		c.t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- server.Run(ctx, ln, handler, c.opts.Log) }()
	c.t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			c.t.Errorf("server ended with %v", err)
		}
	})
	_, port, _ := strings.Cut(ln.Addr().String(), ":")
	return "localhost:" + port
}

func newCA(t *testing.T) *certs.CA {
	t.Helper()
	ca, err := certs.New(filepath.Join(t.TempDir(), "ca"))
	if err != nil {
		t.Fatal(err)
	}
	return ca
}

func issue(t *testing.T, ca *certs.CA, leaf certs.Leaf) certs.Pair {
	t.Helper()
	pair, err := ca.Issue(leaf)
	if err != nil {
		t.Fatal(err)
	}
	return pair
}

// tlsClient is a client of ours with a pair.
func (c *tlsController) tlsClient(pair certs.Pair) *client.Client {
	c.t.Helper()
	cl, err := client.Open(client.Options{Addresses: []string{"https://" + c.address}, TLS: mtls.Files(pair), Log: c.opts.Log, Retries: -1})
	if err != nil {
		c.t.Fatal(err)
	}
	c.t.Cleanup(cl.Close)
	return cl
}

// transport is the standard library's client with a pair, for what ours would
// never do.
func transport(t *testing.T, pair certs.Pair, edit ...func(*tls.Config)) *http.Transport {
	t.Helper()
	config := &tls.Config{InsecureSkipVerify: true}
	if pair.Cert != "" {
		cert, err := tls.LoadX509KeyPair(pair.Cert, pair.Key)
		if err != nil {
			t.Fatal(err)
		}
		config.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return &cert, nil }
	}
	for _, e := range edit {
		e(config)
	}
	tr := &http.Transport{TLSClientConfig: config}
	t.Cleanup(tr.CloseIdleConnections)
	return tr
}

// ask sends one request over a transport.
func (c *tlsController) ask(tr *http.Transport, method, path, body string) (status int, text string, err error) {
	c.t.Helper()
	req, err := http.NewRequestWithContext(c.t.Context(), method, "https://"+c.address+path, strings.NewReader(body))
	if err != nil {
		c.t.Fatal(err)
	}
	resp, err := tr.RoundTrip(req)
	if err != nil {
		return 0, "", err
	}
	defer resp.Body.Close()
	if strings.HasSuffix(path, "/watch") && resp.StatusCode == http.StatusOK {
		return resp.StatusCode, "", nil // has no end
	}
	b, err := io.ReadAll(resp.Body)
	return resp.StatusCode, string(b), err
}
