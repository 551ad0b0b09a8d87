package doctor

import (
	"context"
	"net"
	"os"
	"slices"
	"strconv"
	"strings"
)

// A listener is a TCP port that is taken.
type listener struct {
	port  int
	inode string // of its socket
}

// listeners are the TCP ports on which somebody listens; false where they cannot
// be read.
func (t tree) listeners() ([]listener, bool) {
	const listening = "0A" // TCP_LISTEN
	var all []listener
	readable := false
	for _, file := range []string{"proc/net/tcp", "proc/net/tcp6"} {
		text, ok := t.read(file)
		readable = readable || ok
		for line := range strings.Lines(text) {
			f := strings.Fields(line)
			if len(f) < 10 || f[3] != listening {
				continue
			}
			_, hex, _ := strings.Cut(f[1], ":")
			if port, err := strconv.ParseUint(hex, 16, 16); err == nil {
				all = append(all, listener{int(port), f[9]})
			}
		}
	}
	return all, readable
}

// holder is the program that has a socket, by its inode; empty if that cannot be
// seen, as without root.
func (t tree) holder(inode string) string {
	for _, pid := range t.pids() {
		for _, fd := range t.list("proc/" + pid + "/fd") {
			target, err := os.Readlink(t.path("proc/" + pid + "/fd/" + fd))
			if err == nil && target == "socket:["+inode+"]" {
				return t.word("proc/" + pid + "/comm")
			}
		}
	}
	return ""
}

// A wantedPort is one that a daemon of this machine listens on.
type wantedPort struct {
	number int
	daemon string
	what   string
}

func (v *visit) wantedPorts() []wantedPort {
	var all []wantedPort
	add := func(address, daemon, what string) {
		_, port, err := net.SplitHostPort(address)
		n, numErr := strconv.Atoi(port)
		if err == nil && numErr == nil {
			all = append(all, wantedPort{n, daemon, what})
		}
	}
	if v.agent != nil {
		add(v.agent.Metrics.Address, "nicferry-agent", "its metrics")
	}
	if v.controller != nil {
		add(v.controller.Metrics.Address, "nicferryd", "its metrics")
		if v.controller.Listen != nil {
			add(v.controller.Listen.Address, "nicferryd", "listen.address")
		}
	}
	return all
}

// checkPorts looks for others on the ports of the daemons.
func checkPorts(_ context.Context, v *visit) {
	wanted := v.wantedPorts()
	taken, ok := v.listeners()
	switch {
	case len(wanted) == 0:
		v.ok("no daemon of this machine listens on a port")
		return
	case !ok:
		v.warn("mount -t proc proc /proc", "cannot look: /proc/net/tcp is not there")
		return
	}
	for _, w := range wanted {
		i := slices.IndexFunc(taken, func(l listener) bool { return l.port == w.number })
		if i < 0 {
			continue
		}
		who := v.holder(taken[i].inode)
		switch {
		case who == "" && !v.process(w.daemon):
			v.warn("ss -ltnp 'sport = :"+strconv.Itoa(w.number)+"', as root", "port %d, which %s wants for %s, is taken; by whom cannot be seen", w.number, w.daemon, w.what)
		case who != "" && who != w.daemon[:min(len(w.daemon), 15)]:
			v.fail("ss -ltnp 'sport = :"+strconv.Itoa(w.number)+"'; end it, or give "+w.daemon+" another port in its config",
				"port %d, which %s wants for %s, is taken by %.20q", w.number, w.daemon, w.what, who)
		}
	}
	if v.quiet() {
		v.ok("the daemons' %d ports are free or their own", len(wanted))
	}
}
