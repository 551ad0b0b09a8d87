package conf_test

import (
	"errors"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/nicferry/nicferry/internal/conf"
)

const afterStore = "\nversion: 1\nproviders: [{name: here, kind: local}]\n"

func TestStoreOnEtcd(t *testing.T) {
	t.Parallel()
	c, err := conf.ParseController("x.yaml", []byte(`store:
  kind: etcd
  endpoints: [https://10.0.0.1:2379, https://etcd2.example:2379]
  prefix: /clusters/one/
  user: nicferry
  passwordFile: /etc/nicferry/etcd.password
  tls: {ca: /etc/nicferry/etcd-ca.pem, cert: /etc/nicferry/etcd.pem, key: /etc/nicferry/etcd.key}`+afterStore))
	if err != nil {
		t.Fatal(err)
	}
	want := &conf.Etcd{
		Endpoints: []string{"https://10.0.0.1:2379", "https://etcd2.example:2379"}, Prefix: "/clusters/one/",
		User: "nicferry", PasswordFile: "/etc/nicferry/etcd.password",
		TLS: &conf.EtcdTLS{CA: "/etc/nicferry/etcd-ca.pem", Cert: "/etc/nicferry/etcd.pem", Key: "/etc/nicferry/etcd.key"},
	}
	if c.Store != "" || !reflect.DeepEqual(c.Etcd, want) {
		t.Errorf("got %q, %+v", c.Store, c.Etcd)
	}
}

func TestStoreInAFile(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"":                         conf.DefaultStore,
		"store: /srv/x.db":         "/srv/x.db",
		"store: {kind: file}":      "store.kind: no kind \"file\"",
		"store: {prefix: /x/}":     "store.kind: is missing",
		"store: \"\"":              "store: \"\"; want an absolute path",
		"store: x.db":              "store: \"x.db\"; want an absolute path",
		"store: [a]":               "store: want fields",
		"store: {kind: sqlite}":    "store.kind: no kind \"sqlite\"",
		"store: {file: /srv/x.db}": "store.file: unknown field",
		"store: {kind: etcd}":      "store.endpoints: is missing",
		"store: {kind: [1]}":       "store.kind: want",
	} {
		c, err := conf.ParseController("x.yaml", []byte(text+afterStore))
		switch {
		case err == nil && (c.Store != want || c.Etcd != nil):
			t.Errorf("%s: got %q, %+v", text, c.Store, c.Etcd)
		case err != nil && !strings.Contains(err.Error(), want):
			t.Errorf("%s: got %v, want %s", text, err, want)
		}
	}
}

// All that is wrong is told at once, each with its line.
func TestFaultsOfEtcd(t *testing.T) {
	t.Parallel()
	_, err := conf.ParseController("x.yaml", []byte(`store:
  kind: etcd
  endpoints:
    - 10.0.0.1:2379
    - http://10.0.0.2:2379
    - https://10.0.0.3
    - https://10.0.0.4:2379
    - https://10.0.0.4:2379
  prefix: nicferry
  user: nicferry
  tls:
    ca: ca.pem
    cert: /etc/x.pem`+afterStore))
	var faults conf.Faults
	if !errors.As(err, &faults) {
		t.Fatalf("got %v", err)
	}
	var got []string
	for _, f := range faults {
		got = append(got, f.Field)
	}
	want := []string{
		"store.endpoints[0]", "store.endpoints[1]", "store.endpoints[2]", "store.endpoints[4]", "store.prefix",
		"store.passwordFile", "store.tls.ca", "store.tls.key",
	}
	slices.Sort(got)
	slices.Sort(want)
	if !slices.Equal(got, want) {
		t.Errorf("got faults of %q, want %q:\n%v", got, want, err)
	}
}
