package conf

import (
	"testing"
	"time"

	"github.com/nicferry/nicferry/nic"
)

func TestPools(t *testing.T) {
	for given, want := range map[string]nic.Pool{
		"":                                 {},
		"pool: {}":                         {Idle: DefaultIdle},
		"pool: {min: 2}":                   {Min: 2, Max: 2, Idle: DefaultIdle},
		"pool: {max: 3, idle: 0s}":         {Max: 3},
		"pool: {min: 1, max: 4, idle: 1m}": {Min: 1, Max: 4, Idle: nic.Duration(time.Minute)},
	} {
		c, err := ParseController("in.yaml", []byte(`
version: 1
providers: [{name: local, kind: local}]
networks:
  - name: lab
    provider: local
    addressing: dhcp
    macvlan: {parent: eth1}
    `+given+"\n"))
		if err != nil {
			t.Errorf("%s: %v", given, err)
		} else if got := c.Networks[0].Pool; got != want {
			t.Errorf("%s: got %+v, want %+v", given, got, want)
		}
	}
}
