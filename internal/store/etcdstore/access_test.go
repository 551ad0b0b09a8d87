package etcdstore_test

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"net"
	"os"
	"strings"
	"testing"

	"github.com/nicferry/nicferry/internal/lab/certs"
	"github.com/nicferry/nicferry/internal/store"
	"github.com/nicferry/nicferry/internal/store/etcdstore"
	"github.com/nicferry/nicferry/internal/store/etcdstore/etcdtest"
)

// An etcd that wants certificates gives records to who has one, and says why to who has
// not.
func TestTLS(t *testing.T) {
	t.Parallel()
	ca, err := certs.New(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	server, err := ca.Issue(certs.Leaf{File: "etcd", CommonName: "etcd", Server: true, Addrs: []net.IP{net.IPv4(127, 0, 0, 1)}})
	if err != nil {
		t.Fatal(err)
	}
	own, err := ca.Issue(certs.Leaf{File: "nicferryd", CommonName: "nicferryd"})
	if err != nil {
		t.Fatal(err)
	}
	c := etcdtest.Start(t, etcdtest.Options{Program: etcdtest.Current(t), Scheme: "https", Flags: []string{
		"--cert-file", server.Cert, "--key-file", server.Key, "--trusted-ca-file", own.CA, "--client-cert-auth",
	}})
	pem, err := os.ReadFile(server.CA)
	if err != nil {
		t.Fatal(err)
	}
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(pem)
	pair, err := tls.LoadX509KeyPair(own.Cert, own.Key)
	if err != nil {
		t.Fatal(err)
	}
	s := open(t, etcdstore.Options{Endpoints: c.Endpoints, Timeout: patient, TLS: &tls.Config{RootCAs: roots, Certificates: []tls.Certificate{pair}}})
	if err := create(t.Context(), s, "a"); err != nil {
		t.Error(err)
	}
	for what, config := range map[string]*tls.Config{
		"no certificate": {RootCAs: roots},
		"another CA":     {RootCAs: x509.NewCertPool(), Certificates: []tls.Certificate{pair}},
	} {
		s, err := etcdstore.Open(t.Context(), etcdstore.Options{Endpoints: c.Endpoints, TLS: config})
		if !errors.Is(err, store.ErrUnavailable) || !strings.Contains(err.Error(), c.Endpoints[0]) {
			t.Errorf("%s: got %v, %v", what, s, err)
		}
	}
}

// A user who may do nothing but read and write below the prefix is enough, and no more
// is written; a wrong password is told.
func TestAuth(t *testing.T) {
	t.Parallel()
	c := etcdtest.Start(t, etcdtest.Options{Program: etcdtest.Current(t)})
	root := alone(t, c.Endpoints)
	for _, step := range []func(context.Context) error{
		func(ctx context.Context) error { _, err := root.RoleAdd(ctx, "nicferry"); return err },
		func(ctx context.Context) error {
			_, err := root.RoleGrantPermission(ctx, "nicferry", "/mine/", "/mine0", 2) // read and write
			return err
		},
		func(ctx context.Context) error { _, err := root.UserAdd(ctx, "nicferry", "secret"); return err },
		func(ctx context.Context) error { _, err := root.UserGrantRole(ctx, "nicferry", "nicferry"); return err },
		func(ctx context.Context) error { _, err := root.UserAdd(ctx, "root", "other"); return err },
		func(ctx context.Context) error { _, err := root.UserGrantRole(ctx, "root", "root"); return err },
		func(ctx context.Context) error { _, err := root.AuthEnable(ctx); return err },
	} {
		if err := step(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	opts := etcdstore.Options{Endpoints: c.Endpoints, Timeout: patient, Prefix: "/mine/", User: "nicferry", Password: "secret"}
	s := open(t, opts)
	term, err := s.Lead(t.Context(), "controller")
	if err != nil {
		t.Fatal(err)
	}
	_, rev, err := s.List(t.Context(), "", "", 0)
	if err != nil {
		t.Fatal(err)
	}
	w, err := s.Watch(t.Context(), "", rev)
	if err != nil {
		t.Fatal(err)
	}
	defer w.Close()
	if _, err := s.Commit(t.Context(), term.Check(), store.Create("a", nil)); err != nil {
		t.Error(err)
	}
	if events, err := w.Next(t.Context()); err != nil || events[0].Key != "a" {
		t.Errorf("got %v, %v", events, err)
	}
	if err := term.Resign(t.Context()); err != nil {
		t.Error(err)
	}
	opts.Password = "wrong"
	if _, err := etcdstore.Open(t.Context(), opts); err == nil || !strings.Contains(err.Error(), "authentication failed") {
		t.Errorf("a wrong password: got %v", err)
	}
	opts.Password, opts.Prefix = "secret", "/others/"
	if _, err := etcdstore.Open(t.Context(), opts); err == nil || !strings.Contains(err.Error(), "permission denied") || errors.Is(err, store.ErrUnavailable) {
		t.Errorf("another's prefix: got %v", err)
	}
}
