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
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/nicferry/nicferry/internal/api"
	"github.com/nicferry/nicferry/internal/api/server"
	"github.com/nicferry/nicferry/internal/conf"
	"github.com/nicferry/nicferry/internal/daemon"
	"github.com/nicferry/nicferry/internal/retry"
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
		records, err := boltstore.Open(ctx, c.Store, file)
		if err != nil {
			return nil, err
		}
		return whole(ctx, records)
	}
	opts, err := etcdOptions(c)
	if err != nil {
		return nil, err
	}
	records, err := etcdstore.Open(ctx, opts)
	if err != nil {
		return nil, err
	}
	return whole(ctx, records)
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
	if err := transfer.Unfinished(ctx, records); err != nil { // begun while this one stood by
		return reign{}, errors.Join(err, term.Resign(context.WithoutCancel(ctx)))
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

// explain has an error that comes of the end of the term say so: each part of the work
// notices by itself.
func (r reign) explain(err error) error {
	if err == nil || r.over == nil || errors.Is(err, fenced.ErrOver) {
		return err
	}
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	if over := r.holds(ctx); errors.Is(over, fenced.ErrOver) {
		return fmt.Errorf("stopped working: %w: %w", fenced.ErrOver, err)
	}
	return err
}

// standBy waits to lead. Meanwhile there is no TLS port, so that agents go on to the
// next of their addresses, and whoever asks on the socket is told who leads.
func standBy(ctx context.Context, c *conf.Controller, records store.Store, notifier *daemon.Notifier, log *slog.Logger) (term store.Term, err error) {
	log.Info("standing by: another controller may lead")
	err = meanwhile(ctx, c, waiting{"standing by", standby{records}.leader}, notifier, log, func(ctx context.Context) (err error) {
		term, err = records.Lead(ctx, leaderName)
		return err
	})
	if err != nil && term != nil {
		err = errors.Join(err, term.Resign(context.WithoutCancel(ctx)))
	}
	if err != nil {
		return nil, fmt.Errorf("stand by: %w", err)
	}
	return term, nil
}

// storeAgain is the time between two tries to open a store that does not answer.
const storeAgain = time.Second

// awaitStore is openStore, and waits for an etcd that does not answer. Meanwhile whoever
// asks on the socket is told.
func awaitStore(ctx context.Context, c *conf.Controller, notifier *daemon.Notifier, log *slog.Logger) (records store.Store, err error) {
	records, err = openStore(ctx, c, boltstore.Options{Backups: true})
	if !errors.Is(err, store.ErrUnavailable) {
		return records, err
	}
	log.Error("the store does not answer: what containers have stays as it is, nothing new begins", "err", err)
	why := "the store does not answer, nothing new begins: " + err.Error()
	tell := waiting{"waiting for the store", func(context.Context) string { return why }}
	err = meanwhile(ctx, c, tell, notifier, log, func(ctx context.Context) (err error) {
		for {
			if records, err = openStore(ctx, c, boltstore.Options{Backups: true}); !errors.Is(err, store.ErrUnavailable) {
				return err
			}
			if err := retry.Sleep(ctx, storeAgain); err != nil {
				return err
			}
		}
	})
	if err != nil && records != nil {
		err = errors.Join(err, records.Close())
	}
	return records, err
}

// meanwhile has the socket answered, and systemd told, while do runs.
func meanwhile(ctx context.Context, c *conf.Controller, answers waiting, notifier *daemon.Notifier, log *slog.Logger, do func(context.Context) error) error {
	socket, err := server.Listen(c.Socket, c.SocketGroup, log)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	group, ctx := errgroup.WithContext(ctx)
	group.Go(func() error { return server.Run(ctx, socket, answers, log) })
	group.Go(func() error {
		notifier.Watch(ctx, func(context.Context) error { return nil })
		return nil
	})
	group.Go(func() error {
		defer cancel()
		return do(ctx)
	})
	notifier.Ready(answers.status)
	return group.Wait()
}

// waiting answers who asks a controller that does not work yet.
type waiting struct {
	status string
	why    func(context.Context) string
}

func (s waiting) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	e := &api.Error{Code: api.CodeUnavailable, Message: s.why(r.Context())}
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set(api.StandbyHeader, "1")
	w.Header().Set("Connection", "close") // it is about to be another's
	w.WriteHeader(e.Code.Status())
	_ = json.NewEncoder(w).Encode(e) // whoever has hung up does not want it
}

// standby says who works instead.
type standby struct{ records store.Store }

// leader says where to ask.
func (s standby) leader(ctx context.Context) string {
	record, _, err := store.GetJSON[struct {
		Holder string `json:"holder"`
	}](ctx, s.records, store.LeaderPrefix+leaderName)
	switch {
	case errors.Is(err, store.ErrNotFound):
		return "this controller stands by; none leads at present, one will in some seconds"
	case err != nil:
		return "this controller stands by; who leads cannot be told: " + err.Error()
	}
	return "this controller stands by; the one on " + record.Holder + " leads: ask there"
}
