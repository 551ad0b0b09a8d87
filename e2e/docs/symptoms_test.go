//go:build linux

package docs

import (
	"os"
	"testing"

	"github.com/nicferry/nicferry/internal/prose"
)

// silentNetwork is one on whose wire nobody gives addresses; it goes to the end
// of the example's list.
const silentNetwork = `  - {name: office, provider: local, addressing: dhcp, veth: {bridge: nf-office, owned: true}}
`

const faulty = `version: 1
providers: [{name: local, kind: lokal}]
sockt: /run/x.sock
networks:
  - {name: lab, provider: local, addressing: ipam, subnets: [{prefix: 10.77.0.0/24, ranges: [10.78.0.1-10.78.0.9]}], veth: {bridge: nf-lab}}
`

// prepare does what is done to the machine and not shown in a document.
func (r *reader) prepare(command string) {
	r.t.Helper()
	r.step(prose.Step{At: "made", Command: command})
}

// What the documents show of machines with faults, on such machines.
func TestSymptoms(t *testing.T) {
	t.Parallel()
	r := one(t)
	path := r.file("", "examples/nicferryd.yaml")
	text, err := os.ReadFile(path)
	r.must(err)
	r.must(os.WriteFile(path, append(text, silentNetwork...), 0o600))
	r.must(os.WriteFile(r.file("", "faulty.yaml"), []byte(faulty), 0o600))
	r.follow("one-machine")
	r.prepare("docker run -d --init --name waits --network none --label nicferry.network=office busybox sleep 1000000")
	r.follow("no-dhcp")
	r.follow("stranger")
	r.follow("faulty-config")
	r.prepare(`kill "$(pidof nicferryd)"; while pidof nicferryd; do sleep 0.1; done`)
	r.follow("away")
	r.prepare("nicferryd >>/var/log/nicferryd.log 2>&1 &")
	r.prepare("until nicferry get nodes | grep ready; do sleep 0.1; done")
	r.prepare("nicferry-agent >/var/log/second.log 2>&1 &")
	r.follow("two-agents")
}
