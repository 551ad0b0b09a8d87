package doctor

import (
	"context"
	"slices"
	"strings"
)

// checkGrabbed finds NICs of ours that somebody on the machine has configured.
func checkGrabbed(_ context.Context, v *visit) {
	if v.Kernel == nil || v.stuck {
		return
	}
	nics, err := v.Kernel.NICs()
	if err != nil {
		v.warn("run it as root", "the machine's NICs cannot be listed: %v", err)
		return
	}
	seen := 0
	for _, n := range nics {
		if !n.ours() {
			continue
		}
		seen++
		clients := v.clients(n.Name)
		for _, c := range clients {
			v.fail("stop it: it would come back with an address", "%s is kept up by %s", n.Name, c)
		}
		switch {
		case len(n.Addrs) > 0 && v.onlyRouter(n):
			v.fail("if it is the machine's own, give it another MAC, and never the drop-ins before; if not, set it down",
				"%s (%s) has %s and the machine's only default route: --fix does nothing", n.Name, n.MAC, joinAddrs(n))
		case len(n.Addrs) > 0:
			v.fail(fixRemedy+", which flushes it", "%s (%s) was grabbed on this machine: it has %s", n.Name, n.MAC, joinAddrs(n))
		case n.Up && len(clients) == 0:
			v.warn(fixRemedy+", which sets it down", "%s (%s) is up on this machine, and only containers should have it up", n.Name, n.MAC)
		}
	}
	if seen == 0 {
		v.ok("no NIC of nicferry's waits on this machine")
	} else if v.quiet() {
		v.ok("%d NICs of nicferry's wait on this machine, and nobody has touched them", seen)
	}
}

// quiet says that the present check has found nothing yet.
func (v *visit) quiet() bool {
	return !slices.ContainsFunc(v.found, func(f Finding) bool { return f.Check == v.check })
}

// onlyRouter says whether a NIC may be how the machine is reached, whatever its
// MAC says: no other has a default route.
func (t tree) onlyRouter(n NIC) bool {
	routers := t.routers()
	return slices.Contains(routers, n.Name) && len(routers) == 1
}

func joinAddrs(n NIC) string {
	texts := make([]string, len(n.Addrs))
	for i, a := range n.Addrs {
		texts[i] = a.String()
	}
	return strings.Join(texts, ", ")
}
