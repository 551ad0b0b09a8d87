package doctor

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strings"
)

// checkDNS looks whether the names of controllers resolve here.
func checkDNS(ctx context.Context, v *visit) {
	id, _ := v.identity()
	asked := 0
	for _, address := range id.controllers {
		host, _, err := net.SplitHostPort(hostPort(address))
		if _, notAName := netip.ParseAddr(host); !isRemote(address) || err != nil || notAName == nil {
			continue
		}
		asked++
		v.resolve(ctx, host)
	}
	if asked > 0 || v.usesNames() {
		v.checkResolvConf()
	}
	if v.quiet() {
		v.ok("no controller is called by a name: nothing here needs DNS")
	}
}

// usesNames says whether a hypervisor is called by a name.
func (v *visit) usesNames() bool {
	for _, h := range v.hypervisors() {
		if _, notAName := netip.ParseAddr(h.Hostname()); h.Hostname() != "" && notAName != nil {
			return true
		}
	}
	return false
}

// resolve looks one name up.
func (v *visit) resolve(ctx context.Context, host string) {
	if v.Network == nil {
		v.warn("", "cannot look: %s is not resolved here", host)
		return
	}
	ctx, cancel := context.WithTimeoutCause(ctx, v.patience, fmt.Errorf("no answer of DNS within %s", v.patience))
	defer cancel()
	addrs, err := v.Network.LookupHost(ctx, host)
	if cause := context.Cause(ctx); err != nil && cause != nil {
		err = cause
	}
	dnsErr, isDNS := errors.AsType[*net.DNSError](err)
	switch {
	case isDNS && dnsErr.IsNotFound:
		v.fail("getent ahosts "+host+"; put the name into DNS or /etc/hosts, or name the controller by its address",
			"no address for %s, the controller's name", host)
	case err != nil:
		v.fail("getent ahosts "+host+"; look at the servers in /etc/resolv.conf", "%s, the controller's name, does not resolve: %s", host, short(err))
	default:
		v.ok("%s is %s", host, strings.Join(addrs[:min(len(addrs), 4)], ", "))
	}
}

func (v *visit) checkResolvConf() {
	text, ok := v.read("etc/resolv.conf")
	if !ok {
		v.warn("ls -lL /etc/resolv.conf; a link to nowhere comes of a resolver that does not run", "/etc/resolv.conf cannot be read: names are looked for on this machine alone")
		return
	}
	servers := 0
	for line := range strings.Lines(text) {
		if f := strings.Fields(line); len(f) > 1 && f[0] == "nameserver" {
			servers++
		}
	}
	if servers == 0 {
		v.warn("echo nameserver ADDRESS >> /etc/resolv.conf", "/etc/resolv.conf names no server")
	}
}
