package conf

import (
	"fmt"
	"net"
	"strings"

	"github.com/nicferry/nicferry/nic"
)

// Etcd is where the records are for several controllers.
type Etcd struct {
	// Endpoints are the members' addresses for clients.
	Endpoints []string
	// Prefix begins all keys.
	Prefix string
	// User and PasswordFile come together, or not at all.
	User, PasswordFile string
	TLS                *EtcdTLS
}

// EtcdTLS are paths of PEM files.
type EtcdTLS struct {
	// CA has signed the members' certificates; without it, one of the machine's has.
	CA string `yaml:"ca"`
	// Cert and Key are the controller's own pair, for an etcd that wants one.
	Cert string `yaml:"cert"`
	Key  string `yaml:"key"`
}

// records is where they are kept, as it is written: a path, or fields.
type records struct {
	Kind         string   `yaml:"kind,required"`
	Path         string   `yaml:"-"`
	Endpoints    []string `yaml:"endpoints,required"`
	Prefix       string   `yaml:"prefix"`
	User         string   `yaml:"user"`
	PasswordFile string   `yaml:"passwordFile"`
	TLS          *EtcdTLS `yaml:"tls"`
}

// kindEtcd is the one kind of store with fields.
const kindEtcd = "etcd"

func (r *records) setDefaults() { *r = records{Prefix: DefaultPrefix} }

// etcd is nil for a file.
func (r *records) etcd() *Etcd {
	if r.Kind != kindEtcd {
		return nil
	}
	return &Etcd{Endpoints: r.Endpoints, Prefix: r.Prefix, User: r.User, PasswordFile: r.PasswordFile, TLS: r.TLS}
}

// maxPrefix is in bytes.
const maxPrefix = 256

func (d *doc) checkRecords(path string, r *records) {
	kind := under(path, "kind")
	switch {
	case r.Path != "", !d.good(path):
		return
	case d.good(kind) && r.Kind != kindEtcd:
		d.fault(kind, "no kind %s in this release; known: %s; a file is named by its path alone, as in store: %s", quote(r.Kind), kindEtcd, DefaultStore)
	}
	d.checkEndpoints(under(path, "endpoints"), r)
	if at := under(path, "prefix"); d.good(at) && !isPrefix(r.Prefix) {
		d.fault(at, "%s; want one that begins and ends with a slash, such as %s", quote(r.Prefix), DefaultPrefix)
	}
	user, password := under(path, "user"), under(path, "passwordFile")
	switch {
	case d.given(password):
		d.checkFile(password, r.PasswordFile)
		if !d.given(user) {
			d.fault(user, "is missing; passwordFile has its password")
		}
	case d.given(user):
		d.fault(password, "is missing; it is the path of a file with the password of %s", quote(r.User))
	}
	d.checkEtcdTLS(under(path, "tls"), r)
}

func (d *doc) checkEndpoints(path string, r *records) {
	if !d.good(path) {
		return
	}
	if len(r.Endpoints) == 0 {
		d.fault(path, "want at least one address of etcd, such as https://10.0.0.1:2379")
	}
	seen := map[string]bool{}
	for i, e := range r.Endpoints {
		at := item(path, i)
		if !d.good(at) {
			continue
		}
		if err := checkMember(e); err != nil {
			d.fault(at, "%s", err)
			continue
		}
		secure := strings.HasPrefix(e, "https://")
		switch {
		case seen[e]:
			d.fault(at, "%s is given already", quote(e))
		case r.TLS != nil && !secure:
			d.fault(at, "%s is without TLS, for which there are files in tls; want https://", quote(e))
		}
		seen[e] = true
	}
}

// checkMember wants http:// or https:// with a host and a port.
func checkMember(e string) error {
	scheme, rest, _ := strings.Cut(e, "://")
	if scheme != "http" && scheme != "https" {
		return fmt.Errorf("%s; want an address such as https://10.0.0.1:2379", quote(e))
	}
	if _, _, err := net.SplitHostPort(rest); err != nil {
		return fmt.Errorf("%s; want a host and a port, such as https://10.0.0.1:2379", quote(e))
	}
	return checkRemote(rest)
}

// isPrefix bounds what keys begin with: they are shown to people.
func isPrefix(s string) bool {
	if len(s) < 2 || len(s) > maxPrefix || s[0] != '/' || s[len(s)-1] != '/' || strings.Contains(s, "//") {
		return false
	}
	for part := range strings.SplitSeq(strings.Trim(s, "/"), "/") {
		if nic.CheckName("prefix", part) != nil {
			return false
		}
	}
	return true
}

func (d *doc) checkEtcdTLS(path string, r *records) {
	if r.TLS == nil || !d.good(path) {
		return
	}
	for field, file := range map[string]string{"ca": r.TLS.CA, "cert": r.TLS.Cert, "key": r.TLS.Key} {
		if at := under(path, field); d.given(at) {
			d.checkFile(at, file)
		}
	}
	cert, key := under(path, "cert"), under(path, "key")
	if d.given(cert) != d.given(key) {
		missing := cert
		if d.given(cert) {
			missing = key
		}
		d.fault(missing, "is missing; cert and key come together")
	}
}
