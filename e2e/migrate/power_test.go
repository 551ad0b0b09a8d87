//go:build linux

package migrate

import (
	"testing"
)

// What the other tests stand on: a container answers the peer, and does so again
// when its machine has lost its power and is back, from the same port of the switch.
func TestRig(t *testing.T) {
	r := newRig(t)
	for _, network := range []string{"both", "lab"} {
		t.Run(network, func(t *testing.T) {
			s := r.scene(t, network, nil)
			s.settled(r.vm1)
			s.powerOff(r.vm1)
			s.powerOn(r.vm1)
			s.settled(r.vm1)
			gaps := s.peer.gaps(peerEvery * 20)
			if len(gaps) == 0 || gaps[0].before == gaps[0].after {
				t.Errorf("without power for a while: the peer has seen %+v", gaps)
			}
			if stays := r.frames.of(s.mac); len(stays) != 1 || stays[0].port != r.vm1.Port() || stays[0].frames < 10 {
				t.Errorf("frames of %s: %+v", s.mac, stays)
			}
		})
	}
}
