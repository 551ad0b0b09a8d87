//go:build linux

package movebench

import (
	"context"
	"errors"
	"net/netip"
	"time"
)

// script is how a person moves a container: a shell script that stops it, has virsh
// move its NIC, starts the one on the other guest and puts the NIC into it. Both
// containers are made beforehand.
type script struct {
	*bench
	card card
	at   int
}

const scriptContainer = "bench-script"

// inScript puts the NIC into the container that has been started, and announces.
const inScript = `pid=$(docker inspect -f '{{.State.Pid}}' "$2")
for dev in /sys/class/net/*; do
	read -r mac <"$dev/address" && [ "$mac" = "$1" ] && break
done
ip link set "${dev##*/}" netns "$pid" name eth0
printf 'link set eth0 up\naddr add %s dev eth0\n' "$3" | nsenter -t "$pid" -n ip -batch -
nsenter -t "$pid" -n busybox arping -q -U -c 1 -w 1 -I eth0 "${3%/*}" || true
`

func (s *script) place(ctx context.Context) (err error) {
	if s.card, err = s.newCard(scriptContainer, "10.77.3.11/24"); err != nil {
		return err
	}
	for i := range 2 {
		if err := s.run(ctx, s.node(i), scriptContainer); err != nil {
			return err
		}
	}
	_, err = s.node(1).Docker(ctx, "stop", scriptContainer)
	return errors.Join(err, s.virsh(ctx, "attach-device", s.node(0), s.card), s.in(ctx, 0))
}

func (s *script) in(ctx context.Context, at int) error {
	_, err := s.node(at).Command(ctx, "bash", "-ec", inScript, "in", s.card.mac.String(), scriptContainer, s.card.addr.String()).Output()
	return err
}

func (s *script) addr() netip.Addr { return s.card.addr.Addr() }

// move does one thing after the other, as a script does.
func (s *script) move(ctx context.Context) (run, error) {
	from, to := s.node(s.at), s.node(1-s.at)
	r := run{order: time.Now()}
	for _, part := range []struct {
		name string
		do   func() error
	}{
		{"docker stop", func() error { _, err := from.Docker(ctx, "stop", scriptContainer); return err }},
		{"detach-device", func() error { return s.virsh(ctx, "detach-device", from, s.card) }},
		{"attach-device", func() error { return s.virsh(ctx, "attach-device", to, s.card) }},
		{"docker start", func() error { _, err := to.Docker(ctx, "start", scriptContainer); return err }},
		{"ip and arping", func() error { return s.in(ctx, 1-s.at) }},
	} {
		err := part.do()
		r.step(part.name, err)
		if err != nil {
			return r, err
		}
	}
	s.at = 1 - s.at
	r.end = time.Now()
	return r, nil
}

func (s *script) remove(ctx context.Context) error {
	ctx = context.WithoutCancel(ctx)
	return errors.Join(s.virsh(ctx, "detach-device", s.node(s.at), s.card), s.clear(ctx, scriptContainer))
}
