package main

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sync/errgroup"

	"github.com/nicferry/nicferry/internal/api"
	"github.com/nicferry/nicferry/internal/api/server"
	"github.com/nicferry/nicferry/internal/conf"
	"github.com/nicferry/nicferry/internal/daemon"
	"github.com/nicferry/nicferry/internal/store"
	"github.com/nicferry/nicferry/internal/store/boltstore"
	"github.com/nicferry/nicferry/internal/store/etcdstore"
	"github.com/nicferry/nicferry/internal/store/fenced"
	"github.com/nicferry/nicferry/internal/store/transfer"
)

// openStore opens what the config says; file is for one that is a file.
func openStore(ctx context.Context, c *conf.Controller, file boltstore.Options) (store.Store, error) {
	if c.Etcd == nil {
		if err := os.MkdirAll(filepath.Dir(c.Store), 0o700); err != nil {
			return nil, fmt.Errorf("make the store's directory: %w", err)
		}
		return boltstore.Open(ctx, c.Store, file)
	}
	opts, err := etcdOptions(c)
	if err != nil {
		return nil, err
	}
	records, err := etcdstore.Open(ctx, opts)
	if err != nil {
		return nil, err
	}
	if err := transfer.Unfinished(ctx, records); err != nil {
		return nil, errors.Join(fmt.Errorf("records in etcd: %w", err), records.Close())
	}
	return records, nil
}

func etcdOptions(c *conf.Controller) (opts etcdstore.Options, err error) {
	e := c.Etcd
	opts = etcdstore.Options{Endpoints: e.Endpoints, Prefix: e.Prefix, User: e.User, Holder: whereIs(c)}
	if e.PasswordFile != "" {
		text, err := os.ReadFile(e.PasswordFile)
		if err != nil {
			return opts, fmt.Errorf("read store.passwordFile: %w", err)
		}
		opts.Password = strings.TrimRight(string(text), "\r\n")
	}
	if e.TLS == nil {
		return opts, nil
	}
	opts.TLS = &tls.Config{MinVersion: tls.VersionTLS12}
	if e.TLS.CA != "" {
		text, err := os.ReadFile(e.TLS.CA)
		if err != nil {
			return opts, fmt.Errorf("read store.tls.ca: %w", err)
		}
		opts.TLS.RootCAs = x509.NewCertPool()
		if !opts.TLS.RootCAs.AppendCertsFromPEM(text) {
			return opts, fmt.Errorf("store.tls.ca: no certificate in %s", e.TLS.CA)
		}
	}
	if e.TLS.Cert == "" {
		return opts, nil
	}
	if _, err := tls.LoadX509KeyPair(e.TLS.Cert, e.TLS.Key); err != nil {
		return opts, fmt.Errorf("read store.tls.cert and store.tls.key: %w", err)
	}
	// Read for each connection: it may be renewed.
	opts.TLS.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) {
		pair, err := tls.LoadX509KeyPair(e.TLS.Cert, e.TLS.Key)
		return &pair, err
	}
	return opts, nil
}

// whereIs tells people where this controller is.
func whereIs(c *conf.Controller) string {
	name, err := os.Hostname()
	if err != nil {
		name = "a machine without a name"
	}
	if at := tlsAddress(c); at != "" {
		return name + " (" + at + ")"
	}
	return name
}

// A reign is the time in which this controller works: all of it where the store is a
// file, and a term where others have the store too.
type reign struct {
	store.Store
	over  <-chan struct{} // nil where nobody else can have the store
	holds func(context.Context) error
	end   func()
}

// leaderName is what the one controller at work leads under.
const leaderName = "controller"

// takeOver waits until this controller is the one that works.
func takeOver(ctx context.Context, c *conf.Controller, records store.Store, notifier *daemon.Notifier, log *slog.Logger) (reign, error) {
	if c.Etcd == nil {
		return reign{Store: records, end: func() {}}, nil
	}
	term, err := standBy(ctx, c, records, notifier, log)
	if err != nil {
		return reign{}, err
	}
	log.Info("this controller leads", "term", term.Number())
	own := fenced.New(records, term)
	return reign{Store: own, over: term.Lost(), holds: own.Holds, end: func() {
		if err := term.Resign(context.WithoutCancel(ctx)); err != nil {
			log.Warn("another controller takes over a little later", "err", err)
		}
	}}, nil
}

// watch ends the work of a controller whose term is over. What it holds in memory is
// another's now: the process ends, and begins anew by standing by.
func (r reign) watch(ctx context.Context) error {
	select {
	case <-r.over:
		return fmt.Errorf("stopped working: %w", fenced.ErrOver)
	case <-ctx.Done():
		return nil
	}
}

// standBy waits to lead. Meanwhile there is no TLS port, so that agents go on to the
// next of their addresses, and whoever asks on the socket is told who leads.
func standBy(ctx context.Context, c *conf.Controller, records store.Store, notifier *daemon.Notifier, log *slog.Logger) (term store.Term, err error) {
	socket, err := server.Listen(c.Socket, c.SocketGroup, log)
	if err != nil {
		return nil, err
	}
	waiting, cancel := context.WithCancel(ctx)
	defer cancel()
	group, waiting := errgroup.WithContext(waiting)
	group.Go(func() error { return server.Run(waiting, socket, standby{records}, log) })
	group.Go(func() error {
		notifier.Watch(waiting, func(context.Context) error { return nil })
		return nil
	})
	group.Go(func() error {
		defer cancel()
		var err error
		term, err = records.Lead(waiting, leaderName)
		return err
	})
	notifier.Ready("standing by")
	log.Info("standing by: another controller may lead")
	err = group.Wait()
	if err == nil {
		return term, nil
	}
	if term != nil {
		err = errors.Join(err, term.Resign(context.WithoutCancel(ctx)))
	}
	return nil, fmt.Errorf("stand by: %w", err)
}

// standby answers who asks a controller that does not lead.
type standby struct{ records store.Store }

func (s standby) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	e := &api.Error{Code: api.CodeUnavailable, Message: "this controller stands by; " + s.leader(r.Context())}
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set(api.StandbyHeader, "1")
	w.Header().Set("Connection", "close") // it is about to be another's
	w.WriteHeader(e.Code.Status())
	_ = json.NewEncoder(w).Encode(e) // whoever has hung up does not want it
}

// leader says where to ask.
func (s standby) leader(ctx context.Context) string {
	record, _, err := store.GetJSON[struct {
		Holder string `json:"holder"`
	}](ctx, s.records, store.LeaderPrefix+leaderName)
	switch {
	case errors.Is(err, store.ErrNotFound):
		return "none leads at present, one will in some seconds"
	case err != nil:
		return "who leads cannot be told: " + err.Error()
	}
	return "the one on " + record.Holder + " leads: ask there"
}
