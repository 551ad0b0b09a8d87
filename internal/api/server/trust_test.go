package server_test

import (
	"context"
	"crypto/x509"
	"errors"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/nicferry/nicferry/internal/api"
	"github.com/nicferry/nicferry/internal/api/client"
	"github.com/nicferry/nicferry/internal/api/server"
	"github.com/nicferry/nicferry/internal/authority"
	"github.com/nicferry/nicferry/internal/mtls"
	"github.com/nicferry/nicferry/internal/mtls/mtlstest"
	"github.com/nicferry/nicferry/internal/store/memstore"
	"github.com/nicferry/nicferry/nic"
)

// A token lets its node in, once, and what it gets is good for that node alone.
func TestS4_JoinByToken(t *testing.T) {
	t.Parallel()
	ctl := startOwn(t)
	token, key := ctl.token("n1"), mtlstest.Key(t)
	nobody := ctl.newcomer(token)
	issued, err := nobody.Join(t.Context(), token.Text, mtlstest.Request(t, key))
	if err != nil || issued.Node != "n1" {
		t.Fatalf("join: %+v, %v", issued.Node, err)
	}
	n1 := ctl.open(client.Options{Addresses: []string{ctl.address}, TLS: keep(t, issued, key)})
	if _, err := n1.Hello(t.Context(), "n1", nic.Inventory{}); err != nil {
		t.Errorf("hello with the new certificate: %v", err)
	}
	if _, err := n1.Hello(t.Context(), "n2", nic.Inventory{}); !api.IsRefused(err) {
		t.Errorf("hello as another node: %v", err)
	}
	if _, err := n1.Tokens(t.Context()); !api.IsRefused(err) {
		t.Errorf("a node lists tokens: %v", err)
	}
	// Who did not hear the answer asks again, with the same key.
	if _, err := nobody.Join(t.Context(), token.Text, mtlstest.Request(t, key)); err != nil {
		t.Errorf("the same again: %v", err)
	}
	if _, err := nobody.Join(t.Context(), token.Text, mtlstest.Request(t, mtlstest.Key(t))); !api.IsRefused(err) || !strings.Contains(err.Error(), "was used already") {
		t.Errorf("with another key: %v", err)
	}
	if tokens, err := ctl.client().Tokens(t.Context()); err != nil || len(tokens) != 0 {
		t.Errorf("tokens left: %+v, %v", tokens, err)
	}
}

// A node is described with what it may do, to viewers and to itself; until when its
// certificate is good is known once it has shown it.
func TestANodeIsDescribed(t *testing.T) {
	t.Parallel()
	ctl := startOwn(t, func(o *server.Options) { o.TenantsOf = func(string) []string { return []string{"red", "blue"} } })
	n1, files := ctl.join("n1")
	n2, _ := ctl.join("n2")
	text, err := os.ReadFile(files.Cert)
	if err != nil {
		t.Fatal(err)
	}
	certificate := parse(t, string(text))
	eve := ctl.person("eve", "viewer")
	if _, err := n1.Hello(t.Context(), "n1", nic.Inventory{}); err != nil {
		t.Fatal(err)
	}
	for who, c := range map[string]*client.Client{"a viewer": eve, "itself": n1} {
		n, err := c.Node(t.Context(), "n1")
		if err != nil || !slices.Equal(n.Tenants, []string{"red", "blue"}) || !n.CertificateEnds.Equal(certificate.NotAfter) {
			t.Errorf("to %s: %+v, %v; want a certificate until %s", who, n, err, certificate.NotAfter)
		}
	}
	if _, err := n2.Node(t.Context(), "n1"); !api.IsRefused(err) {
		t.Errorf("to another node: %v", err)
	}
	if n, err := ctl.client().Node(t.Context(), "n1"); err != nil || !n.CertificateEnds.IsZero() {
		t.Errorf("where it has not called: %+v, %v", n, err)
	}
}

// Who has no certificate may join and do nothing else, not even read.
func TestS4_NobodyMayOnlyJoin(t *testing.T) {
	t.Parallel()
	ctl := startOwn(t)
	nobody := ctl.newcomer(ctl.token("n1"))
	if _, err := nobody.Version(t.Context()); !api.IsRefused(err) || !strings.Contains(err.Error(), "nicferry-agent join") {
		t.Errorf("version: %v", err)
	}
	for name, call := range map[string]func() error{
		"hello": func() error { _, err := nobody.Hello(t.Context(), "n1", nic.Inventory{}); return err },
		"nodes": func() error { _, err := nobody.Nodes(t.Context()); return err },
		"renew": func() error {
			_, err := nobody.Renew(t.Context(), "n1", mtlstest.Request(t, mtlstest.Key(t)))
			return err
		},
		"tokens": func() error { _, err := nobody.CreateToken(t.Context(), api.TokenRequest{Node: "n1"}); return err },
	} {
		if err := call(); !api.IsRefused(err) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// The controller is known by its CA's fingerprint before the token is sent.
func TestS4_WrongFingerprint(t *testing.T) {
	t.Parallel()
	ctl := startOwn(t)
	token := ctl.token("n1")
	other := newAuthority(t, ctl.opts.Log)
	stranger := ctl.serve(other)
	content, err := api.ParseToken(token.Text)
	if err != nil {
		t.Fatal(err)
	}
	c := ctl.open(client.Options{Addresses: []string{stranger}, Fingerprint: content.CA})
	_, err = c.Join(t.Context(), token.Text, mtlstest.Request(t, mtlstest.Key(t)))
	if pin, ok := errors.AsType[*mtls.PinError](err); !ok || pin.Have != other.Fingerprint() || !strings.Contains(err.Error(), "is not the controller that made the token") {
		t.Errorf("at a stranger: %v", err)
	}
	// A stranger that is trusted by a mistake takes nothing of it either.
	c = ctl.open(client.Options{Addresses: []string{stranger}, Fingerprint: other.Fingerprint()})
	if _, err = c.Join(t.Context(), token.Text, mtlstest.Request(t, mtlstest.Key(t))); !api.IsRefused(err) || !strings.Contains(err.Error(), "of another controller") {
		t.Errorf("another's token: %v", err)
	}
	// A certificate of elsewhere is told so, and not only turned away.
	foreign, err := other.CreateToken(t.Context(), api.TokenRequest{Node: "n1"})
	if err != nil {
		t.Fatal(err)
	}
	key := mtlstest.Key(t)
	issued, err := other.Join(t.Context(), api.JoinRequest{Token: foreign.Text, CSR: mtlstest.Request(t, key)})
	if err != nil {
		t.Fatal(err)
	}
	issued.CA = ctl.trust.CA()
	n1 := ctl.open(client.Options{Addresses: []string{ctl.address}, TLS: keep(t, issued, key)})
	if _, err := n1.Hello(t.Context(), "n1", nic.Inventory{}); !api.IsRefused(err) || !strings.Contains(err.Error(), "not by this controller") {
		t.Errorf("with another's certificate: %v", err)
	}
}

// A certificate that has ended is good for the next one of its node, for a
// month, and for nothing else.
func TestS4_ExpiredMayRenewOnlyItself(t *testing.T) {
	t.Parallel()
	ctl := startOwn(t)
	for name, tc := range map[string]struct {
		ago    time.Duration
		renews bool
		want   string
	}{
		"two days":  {48 * time.Hour, true, "ended at"},
		"two weeks": {14 * 24 * time.Hour, true, "ended at"},
		"six weeks": {42 * 24 * time.Hour, false, "too long ago to be renewed"},
	} {
		t.Run(name, func(t *testing.T) {
			records := memstore.New(memstore.Options{})
			defer records.Close()
			past := newAuthority(t, ctl.opts.Log, func(o *authority.Options) {
				o.Store, o.Now = records, func() time.Time { return time.Now().Add(-tc.ago) }
			})
			token, err := past.CreateToken(t.Context(), api.TokenRequest{Node: "n1"})
			if err != nil {
				t.Fatal(err)
			}
			key := mtlstest.Key(t)
			issued, err := past.Join(t.Context(), api.JoinRequest{Token: token.Text, CSR: mtlstest.Request(t, key)})
			if err != nil {
				t.Fatal(err)
			}
			// The same controller, now.
			address := ctl.serve(newAuthority(t, ctl.opts.Log, func(o *authority.Options) { o.Store = records }))
			c := ctl.open(client.Options{Addresses: []string{address}, TLS: keep(t, issued, key)})
			for call, f := range map[string]func() error{
				"hello": func() error { _, err := c.Hello(t.Context(), "n1", nic.Inventory{}); return err },
				"renew": func() error { _, err := c.Renew(t.Context(), "n2", mtlstest.Request(t, key)); return err },
			} {
				if err := f(); !api.IsRefused(err) || call == "hello" && !strings.Contains(err.Error(), tc.want) {
					t.Errorf("%s: %v", call, err)
				}
			}
			next, err := c.Renew(t.Context(), "n1", mtlstest.Request(t, key))
			if tc.renews != (err == nil) || err != nil && (!api.IsRefused(err) || !strings.Contains(err.Error(), tc.want)) {
				t.Fatalf("renew: %v", err)
			}
			if tc.renews {
				c := ctl.open(client.Options{Addresses: []string{address}, TLS: keep(t, next, key)})
				if _, err := c.Hello(t.Context(), "n1", nic.Inventory{}); err != nil {
					t.Errorf("hello with the renewed one: %v", err)
				}
			}
		})
	}
}

// Where a clock is a day off, whoever is turned away hears so. What the other end
// has in its log is in mtls's test of that name.
func TestS4_ClockADayOff(t *testing.T) {
	t.Parallel()
	ctl := startOwn(t)
	records := memstore.New(memstore.Options{})
	defer records.Close()
	off := func(by time.Duration) *authority.Authority {
		return newAuthority(t, ctl.opts.Log, func(o *authority.Options) {
			o.Store, o.Now = records, func() time.Time { return time.Now().Add(by) }
		})
	}
	behind, ahead, right := off(-24*time.Hour), off(24*time.Hour), off(0)
	join := func(trust *authority.Authority) (*client.Client, api.Issued, []byte, error) {
		token, err := trust.CreateToken(t.Context(), api.TokenRequest{Node: "n1"})
		if err != nil {
			t.Fatal(err)
		}
		key := mtlstest.Key(t)
		address := ctl.serve(trust)
		issued, err := ctl.open(client.Options{Addresses: []string{address}, Fingerprint: trust.Fingerprint()}).Join(t.Context(), token.Text, mtlstest.Request(t, key))
		if err != nil {
			return nil, issued, key, err
		}
		return ctl.open(client.Options{Addresses: []string{address}, TLS: keep(t, issued, key)}), issued, key, nil
	}

	// The controller is a day behind, or the node ahead: it joins all the same.
	_, issued, key, err := join(behind)
	if err != nil {
		t.Fatalf("at a controller that is a day behind: %v", err)
	}
	if peer := behind.Peer([]*x509.Certificate{parse(t, issued.Certificate)}); !peer.Itself("n1") || peer.Expired {
		t.Errorf("to a controller that is a day behind it is %+v", peer)
	}
	// Its clock is set: the certificate has ended, and can be renewed.
	c := ctl.open(client.Options{Addresses: []string{ctl.serve(right)}, TLS: keep(t, issued, key)})
	if _, err := c.Hello(t.Context(), "n1", nic.Inventory{}); !api.IsRefused(err) || !strings.Contains(err.Error(), "if its clock is right") {
		t.Errorf("hello when its clock is set: %v", err)
	}
	if _, err := c.Renew(t.Context(), "n1", mtlstest.Request(t, key)); err != nil {
		t.Errorf("renew when its clock is set: %v", err)
	}

	// The controller is a day ahead, or the node behind.
	if _, _, _, err = join(ahead); !errors.Is(err, client.ErrUnreachable) || !strings.Contains(err.Error(), "this machine's clock is at least 23h0m0s behind the controller's; set this machine's clock") {
		t.Errorf("at a controller that is a day ahead: %v", err)
	}
	// Its clock is set back: what it has made begins tomorrow.
	token, err := ahead.CreateToken(t.Context(), api.TokenRequest{Node: "n1"})
	if err != nil {
		t.Fatal(err)
	}
	if issued, err = ahead.Join(t.Context(), api.JoinRequest{Token: token.Text, CSR: mtlstest.Request(t, key)}); err != nil {
		t.Fatal(err)
	}
	c = ctl.open(client.Options{Addresses: []string{ctl.serve(right)}, TLS: keep(t, issued, key)})
	if _, err := c.Hello(t.Context(), "n1", nic.Inventory{}); !api.IsRefused(err) || !strings.Contains(err.Error(), "its clock was ahead when it made the certificate") {
		t.Errorf("hello when its clock is set back: %v", err)
	}
}

// A revoked node is refused at its next word, on its open connections too, and
// its watch ends; a token that was made before is void.
func TestS4_RevokedIsRefusedAtOnce(t *testing.T) {
	t.Parallel()
	ctl := startOwn(t, func(o *server.Options) { o.Heartbeat = 20 * time.Millisecond })
	ctl.backend.PutNode(nic.Node{Name: "n1"})
	n1, files := ctl.join("n1")
	if _, err := n1.Hello(t.Context(), "n1", nic.Inventory{}); err != nil {
		t.Fatal(err)
	}
	waiting := ctl.token("n1")
	watched, ended := make(chan uint64, 16), make(chan error, 1)
	go func() { ended <- n1.Watch(t.Context(), "n1", 0, func(r uint64) { watched <- r }) }()
	<-watched
	if _, known, err := ctl.trust.Revoke(t.Context(), "n1"); err != nil || !known {
		t.Fatal(known, err)
	}
	if err := <-ended; !api.IsRefused(err) || !strings.Contains(err.Error(), "was revoked") {
		t.Errorf("the watch ended with %v", err)
	}
	if _, err := n1.Hello(t.Context(), "n1", nic.Inventory{}); !api.IsRefused(err) || !strings.Contains(err.Error(), "nicferry token create --node n1") {
		t.Errorf("hello: %v", err)
	}
	if _, err := n1.Renew(t.Context(), "n1", mtlstest.Request(t, mtlstest.Key(t))); !api.IsRefused(err) {
		t.Errorf("renew: %v", err)
	}
	if _, err := ctl.newcomer(waiting).Join(t.Context(), waiting.Text, mtlstest.Request(t, mtlstest.Key(t))); !api.IsRefused(err) {
		t.Errorf("with a token of before: %v", err)
	}
	again, _ := ctl.join("n1")
	if _, err := again.Hello(t.Context(), "n1", nic.Inventory{}); err != nil {
		t.Errorf("hello after it was let in again: %v", err)
	}
	before := ctl.open(client.Options{Addresses: []string{ctl.address}, TLS: files})
	if _, err := before.Hello(t.Context(), "n1", nic.Inventory{}); !api.IsRefused(err) || !strings.Contains(err.Error(), "joined again since") {
		t.Errorf("with the certificate of before: %v", err)
	}
}

// People's certificates carry their roles and no node's rights.
func TestS4_PeoplesCertificates(t *testing.T) {
	t.Parallel()
	ctl := startOwn(t)
	admin, viewer := ctl.person("n1", "admin"), ctl.person("n1", "viewer")
	if _, err := admin.Tokens(t.Context()); err != nil {
		t.Errorf("an admin lists tokens: %v", err)
	}
	if _, err := viewer.Tokens(t.Context()); !api.IsRefused(err) {
		t.Errorf("a viewer lists tokens: %v", err)
	}
	if _, err := viewer.Hello(t.Context(), "n1", nic.Inventory{}); !api.IsRefused(err) {
		t.Errorf("a viewer with a node's name says hello: %v", err)
	}
	for _, c := range []*client.Client{admin, viewer} {
		if _, err := c.Renew(t.Context(), "n1", mtlstest.Request(t, mtlstest.Key(t))); !api.IsRefused(err) {
			t.Errorf("a person renews a node's certificate: %v", err)
		}
	}
}

// Nobody tries secrets, or grinds the controller: attempts to join are bounded.
func TestS4_JoinIsBounded(t *testing.T) {
	t.Parallel()
	ctl := startOwn(t)
	token := ctl.token("n1")
	content, err := api.ParseToken(token.Text)
	if err != nil {
		t.Fatal(err)
	}
	content.Secret = "guessed"
	guess, err := content.Encode()
	if err != nil {
		t.Fatal(err)
	}
	c := ctl.newcomer(token)
	refused := 0
	for range 200 {
		if _, err = c.Join(t.Context(), guess, "x"); !api.IsRefused(err) {
			break
		}
		refused++
	}
	if api.CodeOf(err) != api.CodeUnavailable || refused < 10 {
		t.Errorf("after %d guesses: %v", refused, err)
	}
}

// Neither token nor key nor request is in the log, whatever happens to them.
func TestS16_NoTokenInTheLog(t *testing.T) {
	t.Parallel()
	ctl := startOwn(t)
	token, key := ctl.token("n1"), mtlstest.Key(t)
	csr := mtlstest.Request(t, key)
	c := ctl.newcomer(token)
	for _, body := range []struct{ text, csr string }{
		{string(token.Text), "not PEM " + csr},
		{string(token.Text) + "x", csr},
		{string(token.Text), csr},
		{string(token.Text), mtlstest.Request(t, mtlstest.Key(t))},
	} {
		c.Join(t.Context(), api.Secret(body.text), body.csr)
	}
	c.Join(context.WithoutCancel(t.Context()), api.Secret(strings.Repeat(string(token.Text), 40)), csr)
	content, err := api.ParseToken(token.Text)
	if err != nil {
		t.Fatal(err)
	}
	for _, secret := range []string{string(token.Text), string(content.Secret), csr[60:100]} {
		if strings.Contains(ctl.log.String(), secret) {
			t.Errorf("the log has %.8s…:\n%s", secret, ctl.log)
		}
	}
	if !strings.Contains(ctl.log.String(), "node joined") || !strings.Contains(ctl.log.String(), "call refused") {
		t.Errorf("the log does not tell what happened:\n%s", ctl.log)
	}
}
