package archtest

import "slices"

// An Arrow forbids one kind of import, with its reason.
//
// A pattern is a package path below the module (`nic`), with all below it
// (`vmagent/...`), or with * for one element (`provider/*`); for packages from
// outside the whole path (`github.com/spf13/cobra/...`). Four words name whole
// sets: `module` all of ours, `third` all from outside but the standard library,
// `std`, and in To `siblings`: ours that have another second element than the
// importer, as in provider/aws and provider/local.
type Arrow struct {
	From   []string // which packages of ours
	Except []string // but these of them
	To     []string // may not import these
	Allow  []string // but these of them
	// Through forbids it also by way of other packages.
	Through bool
	// Calls are functions that may not be used: path of the package, dot, name.
	Calls []string
	// Cgo forbids C in all that is linked; the standard library's has Go beside it.
	Cgo     bool
	Because string
}

var (
	pureNoes = []string{
		"context", "os", "os/...", "io/fs", "log", "log/...", "net", "net/http/...", "net/rpc/...",
		"syscall", "math/rand/...", "crypto/rand", "golang.org/x/sys/...",
	}
	clock = []string{
		"time.Now", "time.Since", "time.Until", "time.Sleep", "time.After", "time.AfterFunc",
		"time.Tick", "time.NewTimer", "time.NewTicker",
	}
	clouds = []string{
		"github.com/aws/...", "github.com/aliyun/...", "github.com/alibabacloud-go/...",
		"libvirt.org/...", "github.com/digitalocean/go-libvirt/...",
	}
)

// Arrows is the table. It covers what is linked into programs; tests may look
// at the world through what they like.
func Arrows() []Arrow {
	return slices.Concat(contracts(), decisions(), nodes(), cards(), floors(), importers())
}

// contracts are the rows of the words and of what providers promise.
func contracts() []Arrow {
	return []Arrow{
		{
			From: []string{"nic"}, To: []string{"module", "third"},
			Because: "the words are everybody's, so they bring nothing along",
		},
		{
			From: []string{"provider"}, To: []string{"module", "third"}, Allow: []string{"nic"},
			Because: "the contract speaks in our words and in no SDK's",
		},
		{
			From: []string{"provider"}, To: []string{"os", "os/...", "net", "net/http/...", "syscall"},
			Because: "the contract does no I/O",
		},
		{
			From: []string{"provider/*", "provider/*/..."}, Except: []string{"provider/eni/enitest"}, To: []string{"siblings"}, Allow: []string{"provider/ledgerlog", "provider/made", "provider/calls", "provider/eni", "provider/secrets"},
			Because: "one provider must not need another's SDK, nor lean on its quirks",
		},
		{
			From: []string{"provider/eni", "provider/secrets"}, To: []string{"module", "third", "net/http/..."}, Allow: []string{"nic", "provider", "provider/calls"},
			Because: "what is the same in every cloud speaks in no cloud's words, and makes its calls by no SDK",
		},
		{
			From:    []string{"provider/..."},
			To:      []string{"allocator/...", "vmagent/...", "migrate/...", "internal/store/...", "internal/api/...", "internal/conf/..."},
			Through: true,
			Because: "a provider is given its ledger and its options; it decides nothing and keeps nothing",
		},
	}
}

// decisions are the rows of what decides, in the controller and during a move.
func decisions() []Arrow {
	return []Arrow{
		{
			From: []string{"allocator/ipam/...", "allocator/pool/...", "sriov"}, To: pureNoes, Calls: clock,
			Because: "decisions are pure: a seed replays them",
		},
		{
			From:    []string{"allocator/..."},
			To:      []string{"vmagent/...", "internal/api/server/...", "internal/api/client/...", "internal/link/...", "internal/netns/..."},
			Through: true,
			Because: "the controller orders NICs and never touches a kernel or knows who serves it",
		},
		{
			From: []string{"migrate/saga/..."}, To: []string{"module", "third"}, Allow: []string{"internal/retry"}, Through: true,
			Because: "the saga is generic: steps, a journal, a pivot",
		},
		{
			From: []string{"migrate/..."}, To: []string{"provider/...", "allocator/...", "vmagent/...", "internal/board", "internal/relay"},
			Through: true,
			Because: "a move asks the other rooms by the interfaces that it declares; cmd wires",
		},
	}
}

// nodes are the rows of what acts on a node, and of the command line.
func nodes() []Arrow {
	return []Arrow{
		{
			From: []string{"vmagent/..."}, To: []string{"provider/...", "allocator/...", "migrate/...", "internal/store/..."}, Through: true,
			Because: "the agent carries out recipes, wherever they came from",
		},
		{
			From: []string{"vmagent/..."}, To: []string{"internal/doctor/...", "internal/metadata/..."}, Through: true,
			Because: "the agent goes by what it is told and what it finds; who looks at the machine at large is run by people",
		},
		{
			From: []string{"vmagent/...", "migrate/..."}, To: []string{"internal/api/client/...", "internal/api/server/..."}, Through: true,
			Because: "they declare the interfaces they use; cmd wires",
		},
		{
			From:    []string{"vmagent/tasks"},
			To:      []string{"vmagent", "vmagent/ferry", "vmagent/device", "vmagent/dhcp/...", "internal/netns", "internal/link", "internal/board/...", "internal/relay/..."},
			Because: "an order is the engine's to carry out; NICs follow what is wanted",
		},
		{
			From: []string{"vmagent/containers/tree"}, To: []string{"module", "third"}, Allow: []string{"golang.org/x/sys/unix"},
			Because: "what takes another node's stream apart can be read at one go",
		},
		{
			From: []string{"vmagent/portguard"}, To: []string{"module", "third"}, Allow: []string{"nic", "internal/link", "golang.org/x/net/bpf"},
			Because: "what may leave a container can be read at one go",
		},
		{
			From:    []string{"cmd/nicferry-agent/..."},
			To:      append([]string{"provider/...", "allocator/...", "internal/store/...", "internal/api/server/...", "internal/virt/...", "go.etcd.io/..."}, clouds...),
			Through: true, Cgo: true,
			Because: "the agent is static and small, and holds no cloud key and no database",
		},
		{
			From: []string{"internal/identity"}, To: []string{"provider/...", "allocator/...", "vmagent/...", "internal/store/...", "internal/authority/...", "internal/api/server/..."}, Through: true,
			Because: "the agent's side of trust knows the controller over the wire alone",
		},
		{
			From: []string{"internal/authority/..."},
			To:   []string{"provider/...", "allocator/...", "vmagent/...", "internal/conf/...", "internal/identity/...", "internal/api/client/...", "internal/api/server/..."}, Through: true,
			Because: "who may be trusted depends on records and on what the config is asked, and on nobody who serves or is served",
		},
		{
			From: []string{"cmd/nicferry-wait"}, To: []string{"module", "third"}, Cgo: true,
			Because: "it is mounted into other people's containers: small, static, and from the standard library alone",
		},
		{
			From: []string{"cmd/nicferry"}, To: []string{"module"},
			Allow:   []string{"nic", "cmd/manual", "internal/api", "internal/api/client/...", "internal/conf/...", "internal/doctor/...", "internal/bundle/...", "internal/daemon", "internal/mtls", "internal/version"},
			Because: "the CLI is a client and nothing else; doctor and bundle are for when there is nothing to be a client of",
		},
	}
}

// cards are the rows of what reads and sets a node's cards.
func cards() []Arrow {
	return []Arrow{
		{
			From: []string{"sriov/sysfs/...", "sriov/vf/...", "sriov/vfio/...", "sriov/naming"}, To: []string{"provider/...", "allocator/...", "internal/store/..."}, Through: true,
			Because: "acting on VFs is the agent's part",
		},
		{
			From: []string{"sriov"}, To: []string{"module", "third"}, Allow: []string{"nic"}, Through: true,
			Because: "which VF is taken is decided where the cards are not",
		},
		{
			From: []string{"provider/sriov", "provider/made"}, To: []string{"module", "third"},
			Allow:   []string{"nic", "provider", "provider/ledgerlog", "provider/made", "sriov"},
			Because: "who gives out what nodes make goes by what they tell and by its ledger",
		},
		{
			From: []string{"module"}, Except: []string{"cmd/nicferry-agent", "vmagent/...", "sriov/...", "e2e/..."}, To: []string{"sriov/sysfs/...", "sriov/vf/...", "sriov/vfio/...", "sriov/naming"},
			Because: "cards are read and set on the machine that they are in",
		},
		{
			From: []string{"sriov/vf"}, To: []string{"module"}, Allow: []string{"nic", "internal/link", "internal/netns", "internal/retry"},
			Because: "who sets a card's fields can be read at one go",
		},
		{
			From: []string{"sriov/naming"}, To: []string{"module"}, Allow: []string{"nic", "sriov", "internal/link", "internal/netns", "internal/retry", "internal/sysfile"},
			Because: "it goes by what it is told of cards, and changes nothing but names",
		},
		{
			From: []string{"sriov/vfio"}, To: []string{"module", "third"}, Allow: []string{"nic", "internal/sysfile", "golang.org/x/sys/unix"},
			Because: "who gives a program the machine's hardware can be read at one go",
		},
		{
			From: []string{"internal/sysfile"}, To: []string{"module", "third"}, Allow: []string{"golang.org/x/sys/unix"},
			Because: "what reads the kernel's files knows nothing of what they tell",
		},
	}
}

// floors are the rows of what everything stands on, and of what is never shipped.
func floors() []Arrow {
	return []Arrow{
		{
			From: []string{"internal/prose"}, To: []string{"module", "third"},
			Because: "what reads documents knows nothing of what they are about",
		},
		{
			From: []string{"internal/conf/..."}, To: []string{"module"}, Allow: []string{"nic", "sriov"}, Through: true,
			Because: "what a file says is checked without anything of what acts on it",
		},
		{
			From: []string{"internal/bundle"}, To: []string{"module", "third"},
			Because: "what takes secrets out can be read at one go: it packs what it is given",
		},
		{
			From: []string{
				"internal/board/...", "internal/call/...", "internal/doctor/...", "internal/events/...", "internal/keyed/...", "internal/link/...", "internal/metadata/...", "internal/metrics/...", "internal/mtls/...",
				"internal/netns/...", "internal/pulse/...", "internal/relay/...", "internal/retry/...", "internal/slack/...", "internal/store/...", "internal/undo/...", "internal/virt/...",
			},
			To:      []string{"provider/...", "allocator/...", "vmagent/...", "migrate/...", "cmd/..."},
			Through: true,
			Because: "arrows go down only",
		},
		{
			From: []string{"module"}, Except: []string{"cmd/nicferryd", "internal/doctor"}, To: []string{"internal/metadata/..."},
			Because: "metadata may be an hour old: who makes, moves or ends anything does not read it (F05)",
		},
		{
			From: []string{"internal/board/...", "internal/relay/..."}, To: []string{"internal/api/server/...", "internal/api/client/...", "internal/conf/..."}, Through: true,
			Because: "orders and streams are there for whoever moves and whoever serves, and know neither",
		},
		{
			From: []string{"internal/relay"}, To: []string{"internal/store/...", "os", "os/...", "log", "log/..."},
			Because: "what goes through may be a secret: it is in no store, no file and no log",
		},
		{
			From: []string{"module"}, Except: []string{"cmd/nicferry-lab", "internal/bench", "internal/lab/...", "internal/cloudsim/...", "provider/eni/enitest", "e2e/..."},
			To:      []string{"internal/lab/...", "internal/cloudsim/...", "internal/pipenet", "internal/prose", "migrate/migratetest", "provider/eni/enitest", "sriov/vf/vftest", "e2e/..."},
			Because: "what makes test worlds is in no program that users run",
		},
		{
			From: []string{"internal/lab/sim"}, To: []string{"module", "third"},
			Allow:   []string{"nic", "provider", "allocator", "internal/store", "internal/store/memstore", "internal/store/boltstore", "internal/invariant", "internal/retry", "internal/bench/figures"},
			Because: "what is played in virtual time is the real allocator, and what it plays against is in that one package",
		},
		{
			From: []string{"internal/lab/soak"}, To: []string{"module", "third"},
			Allow:   []string{"internal/api", "internal/bench/figures", "internal/lab", "internal/lab/fleet", "internal/lab/promise", "internal/lab/story", "internal/retry", "internal/store/boltstore"},
			Because: "it goes by what the programs say and leave, as real ones, and by nothing in them",
		},
		{
			From: []string{"internal/cloudsim"}, To: []string{"module", "third", "net/http/...", "encoding/xml"}, Allow: []string{"nic", "internal/retry"},
			Because: "the model of a cloud is plain Go; its faces know the wire, and it knows no face",
		},
		{
			From:    []string{"internal/cloudsim/..."},
			To:      append([]string{"provider/...", "allocator/...", "vmagent/...", "migrate/...", "internal/metadata", "internal/conf/..."}, clouds...),
			Through: true, Except: []string{"internal/cloudsim/plug"},
			Because: "what stands in for a cloud is not made of what is tested against it, nor of its SDK",
		},
		{
			From: []string{"cmd/nicferryd", "cmd/nicferry-agent", "cmd/nicferry"}, To: []string{"testing", "testing/..."}, Through: true,
			Because: "test kits are not shipped",
		},
	}
}

// importers are the rows of libraries that one package alone knows.
func importers() []Arrow {
	return []Arrow{
		only("internal/link/...", "one place knows netlink's traps", "github.com/vishvananda/netlink/..."),
		only("internal/netns/...", "one place goes into namespaces", "github.com/vishvananda/netns/..."),
		{
			From: []string{"module"}, Except: []string{"internal/netns/..."},
			Calls:   []string{"golang.org/x/sys/unix.Setns", "golang.org/x/sys/unix.Unshare", "syscall.Unshare"},
			Because: "a thread in the wrong namespace acts on the wrong machine (F48)",
		},
		{
			// The agent keeps its main thread from all goroutines; the lab's
			// thread must live as long as the process that dies with it.
			From: []string{"module"}, Except: []string{"internal/netns/...", "cmd/nicferry-agent", "internal/lab"},
			Calls:   []string{"runtime.LockOSThread", "runtime.UnlockOSThread"},
			Because: "what needs a thread of its own is namespace work, and that has its place (F48)",
		},
		only("vmagent/containers/...", "one place knows Docker's API", "github.com/docker/..."),
		{
			From: []string{"module"}, Except: []string{"vmagent/dhcp/...", "vmagent/dhcp6/..."},
			To:      []string{"github.com/insomniacslk/dhcp/..."},
			Because: "one place parses DHCP, of each version",
		},
		only("vmagent/announce/...", "one place listens to a LAN below IP", "github.com/mdlayher/..."),
		only("internal/virt/...", "one place speaks to libvirt", "libvirt.org/...", "github.com/digitalocean/go-libvirt/..."),
		only("internal/store/boltstore/...", "a store can be replaced", "go.etcd.io/bbolt/..."),
		only("internal/store/etcdstore/...", "a store can be replaced", "go.etcd.io/etcd/...", "google.golang.org/grpc/...", "go.uber.org/zap/..."),
		only("provider/aws/...", "an SDK stays in its provider", "github.com/aws/..."),
		only("provider/aliyun/...", "an SDK stays in its provider", "github.com/aliyun/...", "github.com/alibabacloud-go/..."),
		only("internal/call/...", "never under an SDK's writes, which must not be repeated blindly", "github.com/hashicorp/go-retryablehttp/..."),
		only("internal/api/server/...", "handlers are the server's; the wire types are ours", "github.com/danielgtaylor/huma/..."),
		only("cmd/...", "commands are the programs' own", "github.com/spf13/cobra/...", "github.com/spf13/pflag/..."),
		only("internal/metrics/...", "one place names metrics", "github.com/prometheus/..."),
	}
}

// only forbids packages from outside to all but one importer.
func only(importer, because string, packages ...string) Arrow {
	return Arrow{From: []string{"module"}, Except: []string{importer}, To: packages, Because: because}
}
