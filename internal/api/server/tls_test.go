package server_test

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/nicferry/nicferry/internal/api"
	"github.com/nicferry/nicferry/internal/api/client"
	"github.com/nicferry/nicferry/internal/api/server"
	"github.com/nicferry/nicferry/internal/lab/certs"
	"github.com/nicferry/nicferry/internal/mtls"
	"github.com/nicferry/nicferry/nic"
)

// Whoever has no good certificate does not get as far as HTTP.
func TestTLSTurnsAway(t *testing.T) {
	t.Parallel()
	ctl := startTLS(t)
	other := newCA(t)
	good := issue(t, ctl.ca, certs.Leaf{File: "good", CommonName: "n1"})
	now := time.Now()
	for name, tc := range map[string]struct {
		pair certs.Pair
		edit func(*tls.Config)
		want string
	}{
		"no certificate": {want: "certificate required"},
		"another CA":     {pair: issue(t, other, certs.Leaf{File: "x", CommonName: "n1"}), want: "unknown certificate authority"},
		"another CA, admin": {
			pair: issue(t, other, certs.Leaf{File: "a", CommonName: "n1", Organisation: mtls.AdminOrganisation}),
			want: "unknown certificate authority",
		},
		"expired":        {pair: issue(t, ctl.ca, certs.Leaf{File: "old", CommonName: "n1", NotAfter: now.Add(-time.Minute)}), want: "expired certificate"},
		"not yet":        {pair: issue(t, ctl.ca, certs.Leaf{File: "new", CommonName: "n1", NotBefore: now.Add(time.Hour)}), want: "expired certificate"},
		"for servers":    {pair: issue(t, ctl.ca, certs.Leaf{File: "srv", CommonName: "n1", Server: true}), want: "bad certificate"},
		"old TLS":        {pair: good, edit: func(c *tls.Config) { c.MaxVersion = tls.VersionTLS12 }, want: "protocol version"},
		"good after all": {pair: good},
	} {
		edit := tc.edit
		if edit == nil {
			edit = func(*tls.Config) {}
		}
		status, _, err := ctl.ask(transport(t, tc.pair, edit), "PUT", "/v1/nodes/n1/hello", `{"boot":"b","kernel":"k","docker":"d","agentVersion":"v"}`)
		switch {
		case tc.want == "" && (err != nil || status != 200):
			t.Errorf("%s: %d, %v", name, status, err)
		case tc.want != "" && (err == nil || !strings.Contains(err.Error(), tc.want) && !errors.Is(err, net.ErrClosed) && !isHangup(err)):
			t.Errorf("%s: %d, %v; want %q", name, status, err, tc.want)
		}
	}
	if node, err := ctl.backend.Node(t.Context(), "n1"); err != nil || node.Session != 1 {
		t.Errorf("%d of them said hello (%v), want the one", node.Session, err)
	}
	if !strings.Contains(ctl.log.String(), "TLS handshake error") {
		t.Errorf("the log does not say who was turned away:\n%s", ctl.log)
	}
}

// isHangup says whether the standard library's client missed the alert because
// it was still writing.
func isHangup(err error) bool {
	return strings.Contains(err.Error(), "broken pipe") || strings.Contains(err.Error(), "connection reset")
}

// What our own client says of each certificate tells what to do.
func TestTLSErrorsSayWhatToDo(t *testing.T) {
	t.Parallel()
	ctl := startTLS(t)
	other := newCA(t)
	now := time.Now()
	admin := issue(t, ctl.ca, certs.Leaf{File: "admin", CommonName: "a", Organisation: mtls.AdminOrganisation})
	foreign := issue(t, other, certs.Leaf{File: "foreign", CommonName: "a"})
	expired := issue(t, ctl.ca, certs.Leaf{File: "expired", CommonName: "a", NotAfter: now.Add(-time.Hour)})
	serve := func(leaf certs.Leaf) string { return ctl.serve(issue(t, ctl.ca, leaf)) }
	plain, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer plain.Close()
	go func() {
		for {
			conn, err := plain.Accept()
			if err != nil {
				return
			}
			io.WriteString(conn, "HTTP/1.1 400 Bad Request\r\n\r\n")
			conn.Close()
		}
	}()
	closed, err := net.Listen("tcp", "127.0.0.62:0") // where nobody else gets the port once it is let go
	if err != nil {
		t.Fatal(err)
	}
	closed.Close()
	for name, tc := range map[string]struct {
		address string
		pair    certs.Pair
		want    string
	}{
		"unknown to the controller": {ctl.address, certs.Pair{CA: admin.CA, Cert: foreign.Cert, Key: foreign.Key}, "listen.clientCA"},
		"expired":                   {ctl.address, expired, "renew it, or set the clocks"},
		"for servers":               {ctl.address, issue(t, ctl.ca, certs.Leaf{File: "s", CommonName: "a", Server: true}), "made out for TLS clients"},
		"the controller's CA":       {ctl.address, certs.Pair{CA: foreign.CA, Cert: admin.Cert, Key: admin.Key}, "give the CA that signs it; a controller that has lost its store has made another: join it anew with nicferry-agent join --force"},
		"the controller's time": {
			serve(certs.Leaf{File: "s2", Names: []string{"localhost"}, Server: true, NotAfter: now.Add(-time.Hour)}), admin,
			"renew it there, or set this machine's clock",
		},
		"the controller's name": {serve(certs.Leaf{File: "s3", Names: []string{"elsewhere"}, Server: true}), admin, "make it out for localhost"},
		"no server's":           {serve(certs.Leaf{File: "s4", Names: []string{"localhost"}}), admin, "incompatible key usage"},
		"no TLS at all":         {plain.Addr().String(), admin, "does not speak TLS"},
		"nobody":                {closed.Addr().String(), admin, "is nicferryd running there"},
	} {
		c, err := client.Open(client.Options{Addresses: []string{"https://" + tc.address}, TLS: mtls.Files(tc.pair), Retries: -1})
		if err != nil {
			t.Fatal(err)
		}
		for range 3 { // the alert and the end of the connection race each other
			_, err = c.Hello(t.Context(), "a", nic.Inventory{})
			if !errors.Is(err, client.ErrUnreachable) || !strings.Contains(err.Error(), tc.want) {
				t.Errorf("%s: got %v, want %q", name, err, tc.want)
			}
		}
		c.Close()
	}
}

func TestPlainHTTPToTheTLSPort(t *testing.T) {
	t.Parallel()
	ctl := startTLS(t)
	resp, err := (&http.Transport{DisableKeepAlives: true}).RoundTrip(must(http.NewRequestWithContext(t.Context(), "GET", "http://"+ctl.address+"/v1/version", nil)))
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	text, _ := io.ReadAll(resp.Body)
	if resp.StatusCode != 400 || !strings.Contains(string(text), "HTTP request to an HTTPS server") {
		t.Errorf("got %s %q", resp.Status, text)
	}
}

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

// A new pair serves without a restart, and one that cannot be read does not
// take the old one away.
func TestCertificatesChangeUnderALivingServer(t *testing.T) {
	t.Parallel()
	ctl := startTLS(t)
	serverLeaf := certs.Leaf{File: "nicferryd", CommonName: "nicferryd", Names: []string{"localhost"}, Server: true}
	node := issue(t, ctl.ca, certs.Leaf{File: "n1", CommonName: "n1"})
	serial := func() string {
		t.Helper()
		seen := ""
		tr := transport(t, node, func(c *tls.Config) {
			c.VerifyPeerCertificate = func(raw [][]byte, _ [][]*x509.Certificate) error {
				cert, err := x509.ParseCertificate(raw[0])
				seen = cert.SerialNumber.String()
				return err
			}
		})
		if _, _, err := ctl.ask(tr, "GET", "/v1/version", ""); err != nil {
			t.Fatal(err)
		}
		return seen
	}
	before := serial()
	pair := issue(t, ctl.ca, serverLeaf)
	renewed := serial()
	if renewed == before {
		t.Error("the server still shows its old certificate")
	}
	if err := os.WriteFile(pair.Cert, []byte("half a certif"), 0o600); err != nil {
		t.Fatal(err)
	}
	if kept := serial(); kept != renewed || serial() != kept || strings.Count(ctl.log.String(), "certificate files not usable") != 1 {
		t.Errorf("with a broken file: %s, want %s and one line in the log:\n%s", serial(), renewed, ctl.log)
	}
	pair = issue(t, ctl.ca, serverLeaf)

	// The agent's own pair, and at last the CA.
	c := ctl.tlsClient(node)
	if _, err := c.Hello(t.Context(), "n1", nic.Inventory{}); err != nil {
		t.Fatal(err)
	}
	issue(t, ctl.ca, certs.Leaf{File: "n1", CommonName: "n2"})
	c.Close() // its idle connection is the old n1's
	if _, err := c.Hello(t.Context(), "n2", nic.Inventory{}); err != nil {
		t.Errorf("with the new pair: %v", err)
	}
	foreign := issue(t, newCA(t), certs.Leaf{File: "x", CommonName: "x"})
	if err := os.WriteFile(pair.CA, must(os.ReadFile(foreign.CA)), 0o600); err != nil {
		t.Fatal(err)
	}
	c.Close()
	if _, err := c.Hello(t.Context(), "n2", nic.Inventory{}); !errors.Is(err, client.ErrUnreachable) {
		t.Errorf("signed by a CA that is known no more: %v", err)
	}
}

// A connection lasts no longer than the certificate that began it, and goes on
// with the next one by itself.
func TestAWatchEndsWithItsCertificate(t *testing.T) {
	t.Parallel()
	for _, life := range []time.Duration{2 * time.Second, 10 * time.Second, time.Minute} {
		if watchEndsWithItsCertificate(t, life) {
			return
		}
	}
	t.Error("no certificate lived until it was used")
}

// watchEndsWithItsCertificate tells if there was time for that: a busy machine may
// take longer than a certificate lives to get as far as to use it.
func watchEndsWithItsCertificate(t *testing.T, life time.Duration) (tested bool) {
	t.Helper()
	ctl := startTLS(t)
	ctl.backend.PutNode(nic.Node{Name: "n1"})
	ends := time.Now().Add(life).Truncate(time.Second)
	c := ctl.tlsClient(issue(t, ctl.ca, certs.Leaf{File: "n1", CommonName: "n1", NotAfter: ends}))
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	revisions, ended := make(chan uint64, 16), make(chan error, 1)
	go func() { ended <- c.Watch(ctx, "n1", 0, func(r uint64) { revisions <- r }) }()
	select {
	case <-revisions: // the watch stands
	case <-time.After(time.Until(ends)):
		cancel()
		<-ended
		return false
	}
	raw := transport(t, issue(t, ctl.ca, certs.Leaf{File: "raw", CommonName: "n1", NotAfter: ends}))
	status, _, err := ctl.ask(raw, "GET", "/v1/version", "")
	if !time.Now().Before(ends) {
		cancel()
		<-ended
		return false
	}
	if err != nil || status != 200 {
		t.Fatalf("while the certificate is good: %d, %v", status, err)
	}
	time.Sleep(time.Until(ends.Add(50 * time.Millisecond))) // certificates know no other clock
	if status, text, err := ctl.ask(raw, "GET", "/v1/version", ""); err != nil || status != 503 || !strings.Contains(text, "connect again with a new one") {
		t.Errorf("on a connection whose certificate has ended: %d %s, %v", status, text, err)
	}
	issue(t, ctl.ca, certs.Leaf{File: "n1", CommonName: "n1"})
	want := ctl.backend.Touch()
	for got := uint64(0); got != want; {
		select {
		case got = <-revisions:
		case err := <-ended:
			t.Fatalf("the watch ended with %v", err)
		case <-time.After(20 * time.Second):
			t.Fatalf("revision %d never came; the log:\n%s", want, ctl.log)
		}
	}
	cancel()
	if err := <-ended; !errors.Is(err, context.Canceled) {
		t.Errorf("the watch ended with %v", err)
	}
	return true
}

func TestListenTLSRefuses(t *testing.T) {
	t.Parallel()
	log := slog.New(slog.DiscardHandler)
	pair := issue(t, newCA(t), certs.Leaf{File: "s", Server: true})
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	for _, tc := range []struct {
		address string
		files   mtls.Files
		want    string
	}{
		{taken.Addr().String(), mtls.Files(pair), "another program has that port"},
		{"203.0.113.7:0", mtls.Files(pair), "no interface of this machine"},
		{"127.0.0.1:0", mtls.Files{CA: pair.CA, Cert: "/nonexistent", Key: pair.Key}, "read certificate: "},
	} {
		if ln, err := server.ListenTLS(tc.address, tc.files, log); err == nil || !strings.Contains(err.Error(), tc.want) {
			t.Errorf("%s: %v, %v; want %q", tc.address, ln, err, tc.want)
		}
	}
}

// A refusal is one for the agent's caller too.
func TestRefusalReachesTheCallerTyped(t *testing.T) {
	t.Parallel()
	ctl := startTLS(t)
	c := ctl.tlsClient(issue(t, ctl.ca, certs.Leaf{File: "n1", CommonName: "n1"}))
	_, err := c.Hello(t.Context(), "n2", nic.Inventory{})
	if !api.IsRefused(err) || !strings.Contains(err.Error(), `made out for "n1" and may not act as node "n2"`) {
		t.Errorf("hello as another node: %v", err)
	}
	if _, err := c.Claims(t.Context()); !api.IsRefused(err) || !strings.Contains(err.Error(), "nicferry-admin") {
		t.Errorf("list claims: %v", err)
	}
	if err := c.Watch(t.Context(), "n2", 0, func(uint64) { t.Error("changed") }); !api.IsRefused(err) {
		t.Errorf("watch of another node: %v", err)
	}
}
