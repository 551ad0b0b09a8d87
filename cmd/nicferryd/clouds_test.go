package main

import (
	"bytes"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"strings"
	"testing"

	"github.com/nicferry/nicferry/internal/cloudsim"
	"github.com/nicferry/nicferry/internal/cloudsim/imds"
	"github.com/nicferry/nicferry/internal/conf"
	"github.com/nicferry/nicferry/internal/metadata"
	"github.com/nicferry/nicferry/internal/pipenet"
	"github.com/nicferry/nicferry/internal/store/memstore"
	"github.com/nicferry/nicferry/provider"
)

// noAliyun keeps this machine's own Alibaba Cloud from a test.
func noAliyun(t *testing.T) {
	t.Setenv("ALIBABA_CLOUD_ACCESS_KEY_ID", "")
	t.Setenv("ALIBABA_CLOUD_ACCESS_KEY_SECRET", "")
	t.Setenv("ALIBABA_CLOUD_SECURITY_TOKEN", "")
	t.Setenv("ALIBABA_CLOUD_ECS_METADATA_DISABLED", "true")
}

// A provider of Alibaba Cloud keeps the id that it has drawn, and asks nothing before it
// has something to make. Without a region anywhere the error says where to set one.
func TestAliyunOpens(t *testing.T) {
	noAliyun(t)
	records := memstore.New(memstore.Options{})
	defer records.Close()
	open := func(a conf.Aliyun) (map[string]provider.Provider, string, error) {
		var log bytes.Buffer
		configured := []conf.Provider{{Name: "cloud", Kind: conf.KindAliyun, Aliyun: &a}}
		all, err := openProviders(t.Context(), &conf.Controller{Providers: configured}, records, slog.New(slog.NewTextHandler(&log, nil)))
		return all, log.String(), err
	}
	said := map[string]bool{}
	for range 2 {
		all, log, err := open(conf.Aliyun{Region: "cn-hangzhou", Endpoint: "http://127.0.0.1:9"})
		if err != nil || all["cloud"].Info().Kind != "aliyun" || !strings.Contains(log, "region=cn-hangzhou") {
			t.Fatalf("%v, %v; want a word on the region: %s", all, err, log)
		}
		if err := closeProviders(all); err != nil {
			t.Error(err)
		}
		_, id, _ := strings.Cut(log, " cluster=")
		said[strings.TrimSpace(id)] = true
	}
	if r, err := records.Get(t.Context(), "ledger/cloud/"+clusterKey); err != nil || len(r.Value) < 16 || len(said) != 1 || !said[string(r.Value)] {
		t.Errorf("its id is %q, %v, and was told as %v", r.Value, err, said)
	}
	if _, _, err := open(conf.Aliyun{}); err == nil || !strings.Contains(err.Error(), "aliyun.region") || !strings.Contains(err.Error(), metadata.ErrRefused.Error()) {
		t.Errorf("without a region: %v", err)
	}
}

// The keys of the role are those that the instance's metadata has. Whoever has neither a
// role nor a key in the environment is told of both.
func TestKeysOfARole(t *testing.T) {
	t.Parallel()
	role := ""
	service := imds.New(imds.Options{Source: oneInstance{}, Dialect: imds.ECS(), Role: func(string) string { return role }})
	ln := pipenet.Listen()
	srv := &http.Server{Handler: service.Handler("i-1"), ErrorLog: slog.NewLogLogger(slog.DiscardHandler, 0)}
	done := make(chan struct{})
	go func() { defer close(done); _ = srv.Serve(ln) }()
	t.Cleanup(func() { _ = srv.Close(); <-done })
	m, err := metadata.New(metadata.Options{Dialect: metadata.ECS(), Log: slog.New(slog.DiscardHandler), Dial: ln.Dial})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(m.Close)
	keys := keysOf(m, nil)
	if k, err := keys(t.Context()); !errors.Is(err, metadata.ErrNoRole) || !strings.Contains(err.Error(), "ALIBABA_CLOUD_ACCESS_KEY_ID is not set") || k.Access != "" {
		t.Errorf("without a role: %v", err)
	}
	role = "nicferryd"
	k, err := keys(t.Context())
	if own, ok := service.Key(k.Access); err != nil || !ok || own.Secret != k.Secret || own.Session != k.Token {
		t.Errorf("the keys are not the service's: %v", err)
	}
	if _, err := keysOf(nil, fmt.Errorf("%w: it is off", metadata.ErrRefused))(t.Context()); !errors.Is(err, metadata.ErrRefused) {
		t.Errorf("where metadata is not to be read: %v", err)
	}
}

// oneInstance is a cloud in which nothing is asked but who has which role.
type oneInstance struct{}

func (oneInstance) Guest(string) (cloudsim.Guest, error) { return cloudsim.Guest{}, nil }
