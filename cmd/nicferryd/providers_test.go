package main

import (
	"bytes"
	"encoding/json"
	"log/slog"
	"strings"
	"testing"

	"github.com/nicferry/nicferry/internal/conf"
	"github.com/nicferry/nicferry/internal/metadata"
	"github.com/nicferry/nicferry/internal/store"
	"github.com/nicferry/nicferry/internal/store/memstore"
	"github.com/nicferry/nicferry/nic"
)

// What a provider of AWS has made is known by its cluster's id: each provider draws
// one, once. Nothing is asked of AWS before it has something to make.
func TestAWSKeepsItsClustersID(t *testing.T) {
	noAWS(t)
	records := memstore.New(memstore.Options{})
	defer records.Close()
	ids := map[string]bool{}
	for _, name := range []string{"cloud", "cloud", "other"} {
		configured := []conf.Provider{{Name: name, Kind: conf.KindAWS, AWS: &conf.AWS{Region: "eu-central-1", Endpoint: "http://127.0.0.1:9"}}}
		providers, err := openProviders(t.Context(), &conf.Controller{Providers: configured}, records, slog.New(slog.DiscardHandler))
		if err != nil || providers[name].Info().Name != name || providers[name].Info().Kind != "aws" {
			t.Fatalf("%s: %v, %v", name, providers, err)
		}
		r, err := records.Get(t.Context(), "ledger/"+name+"/"+clusterKey)
		if err != nil || len(r.Value) < 16 {
			t.Fatalf("%s: its id is %q, %v", name, r.Value, err)
		}
		ids[string(r.Value)] = true
	}
	if len(ids) != 2 {
		t.Errorf("two providers have the ids %v", ids)
	}
}

// Without a region anywhere the error says where to set one, and AWS_REGION is heeded
// before the machine is asked.
func TestAWSRegion(t *testing.T) {
	noAWS(t)
	records := memstore.New(memstore.Options{})
	defer records.Close()
	_, err := open(t, records)
	if err == nil || !strings.Contains(err.Error(), "aws.region") || !strings.Contains(err.Error(), metadata.ErrRefused.Error()) {
		t.Errorf("got %v", err)
	}
	t.Setenv("AWS_REGION", "eu-central-1")
	var log bytes.Buffer
	if _, err := openTelling(t, records, slog.New(slog.NewTextHandler(&log, nil))); err != nil || !strings.Contains(log.String(), "region=eu-central-1") {
		t.Errorf("%v; want a word on the region, wherever it is from: %s", err, log.String())
	}
}

func open(t *testing.T, records store.Store) (any, error) {
	return openTelling(t, records, slog.New(slog.DiscardHandler))
}

func openTelling(t *testing.T, records store.Store, log *slog.Logger) (any, error) {
	return openProviders(t.Context(), &conf.Controller{Providers: []conf.Provider{{Name: "cloud", Kind: conf.KindAWS, AWS: &conf.AWS{}}}}, records, log)
}

// noAWS keeps this machine's own AWS from a test.
func noAWS(t *testing.T) {
	t.Setenv("AWS_REGION", "")
	t.Setenv("AWS_DEFAULT_REGION", "")
	t.Setenv("AWS_PROFILE", "")
	t.Setenv("AWS_CONFIG_FILE", "/dev/null")
	t.Setenv("AWS_SHARED_CREDENTIALS_FILE", "/dev/null")
	t.Setenv("AWS_EC2_METADATA_DISABLED", "true")
}

// A provider of VFs that was renamed while NICs have its VFs is refused, with the name
// that it had; one that gave nothing out may be renamed.
func TestARenamedProviderOfVFsIsRefused(t *testing.T) {
	records := memstore.New(memstore.Options{})
	defer records.Close()
	check := func(name string) error {
		return checkFormer(t.Context(), []conf.Provider{{Name: "here", Kind: conf.KindLocal}, {Name: name, Kind: conf.KindSRIOV}}, records)
	}
	if err := check("metal"); err != nil {
		t.Errorf("with nothing given out: %v", err)
	}
	held := nic.NIC{Schema: nic.Schema, ID: "nic-00000000000000a1", Provider: "cards", Spec: nic.Spec{Device: nic.Device{Kind: nic.SRIOV}}}
	value, err := json.Marshal(held)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := records.Commit(t.Context(), store.Create("nic/"+string(held.ID), value)); err != nil {
		t.Fatal(err)
	}
	err = check("metal")
	for _, want := range []string{"provider metal", "1 NICs", string(held.ID), `call it "cards" as before`} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("renamed: %v; want %q", err, want)
		}
	}
	if err := check("cards"); err != nil {
		t.Errorf("with its name: %v", err)
	}
	held.ID, held.Provider, held.Spec.Device = "nic-00000000000000a2", "lan", nic.Device{Kind: nic.Macvlan, Parent: "ens1f0"}
	if value, err = json.Marshal(held); err != nil {
		t.Fatal(err)
	}
	if _, err := records.Commit(t.Context(), store.Create("nic/"+string(held.ID), value)); err != nil {
		t.Fatal(err)
	}
	if err := check("cards"); err != nil {
		t.Errorf("with another provider's macvlan: %v", err)
	}
	if _, err := records.Commit(t.Context(), store.Create("ledger/lan/link/n1/ens1f0/"+string(held.ID), []byte("{}"))); err != nil {
		t.Fatal(err)
	}
	if err := check("cards"); err == nil || !strings.Contains(err.Error(), `call it "lan" as before`) {
		t.Errorf("with one that a provider of VFs gave: %v", err)
	}
	if err := checkFormer(t.Context(), []conf.Provider{{Name: "here", Kind: conf.KindLocal}}, records); err != nil {
		t.Errorf("with no provider of VFs, nobody gives any out: %v", err)
	}
}
