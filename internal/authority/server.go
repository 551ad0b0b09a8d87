package authority

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"slices"
	"time"
)

// lookAgain is how often the machine's addresses are looked at.
const lookAgain = 10 * time.Second

// maxAddresses bounds how many addresses of the machine are in its certificate:
// a machine with many containers' bridges has a lot.
const maxAddresses = 64

// serverCert is the controller's own certificate, which is nowhere but in
// memory.
type serverCert struct {
	cert   tls.Certificate
	names  []string
	addrs  []netip.Addr
	from   time.Time // when it was made
	renew  time.Time // when the next one is due
	looked time.Time // when names and addresses were looked at
}

// good says whether the certificate serves without a look at the machine.
func (c *serverCert) good(now time.Time) bool {
	return c.current(now) && !now.Before(c.looked) && now.Before(c.looked.Add(lookAgain))
}

// current says whether the certificate's time is now, also after the clock was
// set back.
func (c *serverCert) current(now time.Time) bool {
	return c != nil && !now.Before(c.from) && now.Before(c.renew)
}

// same says whether the certificate serves as well as the next one.
func (c *serverCert) same(next *serverCert, now time.Time) bool {
	return c.current(now) && slices.Equal(c.names, next.names) && slices.Equal(c.addrs, next.addrs)
}

// makeServer is the certificate at hand if it serves for what the machine is
// called now, else a new one.
func (a *Authority) makeServer(now time.Time) (*serverCert, error) {
	next := &serverCert{from: now, renew: now.Add(serverLife * 2 / 3)}
	var err error
	if next.names, next.addrs, err = a.names(); err != nil {
		return nil, err
	}
	if a.server.same(next, now) {
		return a.server, nil
	}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, fmt.Errorf("make the controller's key: %w", err)
	}
	template := &x509.Certificate{
		Subject: pkix.Name{CommonName: "nicferryd"}, DNSNames: next.names,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}
	for _, addr := range next.addrs {
		template.IPAddresses = append(template.IPAddresses, addr.AsSlice())
	}
	issued, err := a.issue(template, serverLife, &key.PublicKey)
	if err != nil {
		return nil, err
	}
	leaf, _ := pem.Decode([]byte(issued.Certificate))
	parsed, err := x509.ParseCertificate(leaf.Bytes)
	if err != nil {
		return nil, fmt.Errorf("read the controller's new certificate: %w", err)
	}
	// The CA's goes along: who joins knows it by its fingerprint alone.
	next.cert = tls.Certificate{Certificate: [][]byte{leaf.Bytes, a.ca.cert.Raw}, PrivateKey: key, Leaf: parsed}
	return next, nil
}

// names are what clients may call the controller, both sorted.
func (a *Authority) names() ([]string, []netip.Addr, error) {
	names, addrs := []string{"localhost"}, []netip.Addr{netip.MustParseAddr("127.0.0.1"), netip.IPv6Loopback()}
	if host, err := os.Hostname(); err == nil && host != "" {
		names = append(names, host)
	}
	own, err := a.opts.Addresses()
	if err != nil {
		return nil, nil, fmt.Errorf("look at the machine's addresses: %w", err)
	}
	addrs = append(addrs, own...)
	for _, name := range append(slices.Clone(a.opts.Names), a.host()) {
		if addr, err := netip.ParseAddr(name); err == nil && !addr.IsUnspecified() {
			addrs = append(addrs, addr.WithZone(""))
		} else if err != nil && name != "" {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	slices.SortFunc(addrs, netip.Addr.Compare)
	return slices.Compact(names), slices.Compact(addrs), nil
}

// host is that of the address to listen on; empty for all.
func (a *Authority) host() string {
	host, _, _ := net.SplitHostPort(a.opts.Address)
	return host
}

// Addresses are where the controller can be reached, as far as it knows, those
// of the config first.
func (a *Authority) Addresses() []string {
	_, port, err := net.SplitHostPort(a.opts.Address)
	if err != nil {
		return nil
	}
	hosts := slices.Clone(a.opts.Names)
	if addr, err := netip.ParseAddr(a.host()); err == nil && !addr.IsUnspecified() {
		hosts = append(hosts, addr.String())
	} else if own, err := a.opts.Addresses(); err == nil {
		for _, addr := range own {
			if !addr.IsLoopback() {
				hosts = append(hosts, addr.String())
			}
		}
	}
	if len(hosts) == 0 {
		host, err := os.Hostname()
		if err != nil {
			return nil
		}
		hosts = append(hosts, host)
	}
	const most = 4
	list := make([]string, 0, most)
	for _, host := range hosts[:min(len(hosts), most)] {
		list = append(list, "https://"+net.JoinHostPort(host, port))
	}
	return list
}

// machineAddresses are those of all interfaces of the machine but the ones that
// hold on one link only.
func machineAddresses() ([]netip.Addr, error) {
	list, err := net.InterfaceAddrs()
	if err != nil {
		return nil, err
	}
	var addrs []netip.Addr
	for _, a := range list {
		prefix, ok := a.(*net.IPNet)
		if !ok {
			return nil, errors.New("an address without a prefix: " + a.String())
		}
		addr, ok := netip.AddrFromSlice(prefix.IP)
		if ok && !addr.IsLinkLocalUnicast() && len(addrs) < maxAddresses {
			addrs = append(addrs, addr.Unmap())
		}
	}
	return addrs, nil
}
