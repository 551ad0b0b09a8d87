package conf

import (
	"reflect"
	"time"

	"github.com/nicferry/nicferry/nic"
)

// All defaults of both files. The samples in examples/ give the same.
const (
	DefaultSocket = "/run/nicferry/nicferryd.sock"
	DefaultStore  = "/var/lib/nicferry/nicferry.db"
	DefaultPrefix = "/nicferry/" // of keys in etcd
	// DefaultSocketGroup is tried when the file names no group. If there is no
	// such group, the socket is root's alone.
	DefaultSocketGroup = "nicferry"

	DefaultLogLevel  = "info"
	DefaultLogFormat = "auto"

	// The daemons tell their metrics to their own machine alone.
	DefaultControllerMetrics = "127.0.0.1:7461"
	DefaultAgentMetrics      = "127.0.0.1:7462"

	// DefaultSweep is seldom, since each costs a list call of every provider.
	DefaultSweep = nic.Duration(10 * time.Minute)
	DefaultGrace = nic.Duration(30 * time.Second)

	// DefaultCertificateLife is a day with the hour that lies behind.
	DefaultCertificateLife = nic.Duration(23 * time.Hour)

	DefaultSlots = 128
	// DefaultIdle outlives a rollout, which ends one container and begins another.
	DefaultIdle  = nic.Duration(10 * time.Minute)
	DefaultURI   = "qemu:///system"
	DefaultSpace = "default"
	DefaultHold  = nic.Duration(time.Minute)
	// DefaultPreplug is for people who create and start by hand or by compose.
	DefaultPreplug = nic.Duration(5 * time.Minute)
	// DefaultCooldown is how long Linux takes a neighbour for reachable that it
	// has heard of (15 to 45 s), and what clouds' own tools wait.
	DefaultCooldown = nic.Duration(30 * time.Second)
	// DefaultKeep is for people who change a container's image or settings.
	DefaultKeep  = nic.Duration(time.Hour)
	DefaultProbe = string(nic.ProbeOptimistic)

	DefaultControllerAddress = "unix://" + DefaultSocket
	DefaultIdentityDir       = "/var/lib/nicferry/agent"
	DefaultDockerSocket      = "/var/run/docker.sock"
	DefaultRunDir            = "/run/nicferry/agent"
	DefaultResync            = nic.Duration(30 * time.Second)
)

// setDefaults fills a struct before the file's fields are taken over.
func setDefaults(v reflect.Value) {
	if s, ok := v.Addr().Interface().(interface{ setDefaults() }); ok {
		s.setDefaults()
	}
}

func (f *controllerFile) setDefaults() {
	f.Socket = DefaultSocket
	f.Store = records{Path: DefaultStore}
	f.Log.setDefaults()
	f.Metrics = Metrics{Address: DefaultControllerMetrics}
	f.Sweep.setDefaults()
}

func (s *Sweep) setDefaults() { *s = Sweep{Every: DefaultSweep, Grace: DefaultGrace} }

func (l *Listen) setDefaults() { l.CertificateLife = DefaultCertificateLife }

func (l *Log) setDefaults() { *l = Log{Level: DefaultLogLevel, Format: DefaultLogFormat} }

func (l *Local) setDefaults() { l.Slots = DefaultSlots }

func (l *Libvirt) setDefaults() { l.URI = DefaultURI }

func (a *AWS) setDefaults() { a.Calls = 1 }

func (s *awsSection) setDefaults() {
	s.Pick, s.Movable, s.Mode, s.SourceDestCheck = pickMostFree, movesNIC, modeDedicated, true
}

func (a *Aliyun) setDefaults() { a.Calls = 1 }

func (s *aliyunSection) setDefaults() {
	s.Pick, s.Movable, s.Mode, s.SourceDestCheck = pickMostFree, movesNIC, modeDedicated, true
}

func (n *network) setDefaults() {
	n.Space, n.Hold, n.Preplug = DefaultSpace, DefaultHold, DefaultPreplug
	n.Cooldown, n.Keep = DefaultCooldown, DefaultKeep
	n.Probe, n.Announce, n.CheckGateway = DefaultProbe, true, true
}

func (v *veth) setDefaults() { v.Isolation = true }

func (p *pool) setDefaults() { p.Idle = DefaultIdle }

// setDefaults leaves the node's name, which is the machine's.
func (f *agentFile) setDefaults() {
	f.Controllers = []string{DefaultControllerAddress}
	f.Docker.setDefaults()
	f.IdentityDir, f.RunDir, f.Resync = DefaultIdentityDir, DefaultRunDir, DefaultResync
	f.Log.setDefaults()
	f.Metrics = Metrics{Address: DefaultAgentMetrics}
}

func (d *Docker) setDefaults() { d.Socket = DefaultDockerSocket }
