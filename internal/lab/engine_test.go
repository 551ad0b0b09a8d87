//go:build linux

package lab

import (
	"errors"
	"fmt"
	"testing"
)

// dockerd is started again where containerd was too slow for it, and for nothing else.
func TestASlowContainerdIsTriedAgain(t *testing.T) {
	slow := errors.New("log of docker ends with:\nfailed to start containerd: timeout waiting for containerd to start\n")
	ended := fmt.Errorf("start engine: %w", ErrEngineEnded)
	for _, test := range []struct {
		err  error
		want bool
	}{
		{nil, false},
		{errors.Join(ended, slow), true},
		{errors.Join(ended, errors.New("log of docker ends with:\nfailed to start daemon: no cgroups")), false},
		{errors.Join(errors.New("start engine: context canceled"), slow), false},
	} {
		if got := again(test.err); got != test.want {
			t.Errorf("%v: tried again: %t", test.err, got)
		}
	}
}
