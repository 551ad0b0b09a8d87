//go:build libvirt

package virt

import (
	"sync"

	"libvirt.org/go/libvirt"
)

// A session is one connection from its opening to its loss. It is let go of
// when the last call that uses it has returned: to close it earlier would be to
// free memory in use.
type session struct {
	conn      *libvirt.Connect
	lost      chan struct{} // closed once it is known to be dead
	callbacks []int
	users     sync.WaitGroup
	ended     chan struct{} // closed once nothing of it is left

	mu     sync.Mutex
	closed bool
	dead   sync.Once
}

// connect opens a session with its events.
func (c *Conn) connect() (*session, error) {
	conn, err := libvirt.NewConnect(c.uri)
	if err != nil {
		return nil, openKind(err)
	}
	s := &session{conn: conn, lost: make(chan struct{}), ended: make(chan struct{})}
	if err := s.subscribe(c.queue.add); err != nil {
		s.close()
		return nil, kind(err)
	}
	return s, nil
}

// tellLost may be called many times: by libvirt's loop and by calls that fail.
func (s *session) tellLost() { s.dead.Do(func() { close(s.lost) }) }

// subscribe asks for all events, and for word of the connection's end.
func (s *session) subscribe(add func(Event)) error {
	// The test driver has neither; local connections are told of their end.
	_ = s.conn.SetKeepAlive(keepAlive, keepTries)
	_ = s.conn.RegisterCloseCallback(func(*libvirt.Connect, libvirt.ConnectCloseReason) { s.tellLost() })
	tell := func(k EventKind, d *libvirt.Domain, alias string) {
		uuid, err := d.GetUUIDString() // known on this side: no call
		if err != nil {
			k, uuid, alias = Reconnected, "", ""
		}
		add(Event{Kind: k, UUID: uuid, Alias: alias})
	}
	id, err := s.conn.DomainEventLifecycleRegister(nil, func(_ *libvirt.Connect, d *libvirt.Domain, _ *libvirt.DomainEventLifecycle) {
		tell(DomainChanged, d, "")
	})
	if err != nil {
		return err
	}
	s.callbacks = append(s.callbacks, id)
	id, err = s.conn.DomainEventDeviceAddedRegister(nil, func(_ *libvirt.Connect, d *libvirt.Domain, e *libvirt.DomainEventDeviceAdded) {
		tell(DeviceAdded, d, e.DevAlias)
	})
	if err != nil {
		return err
	}
	s.callbacks = append(s.callbacks, id)
	id, err = s.conn.DomainEventDeviceRemovedRegister(nil, func(_ *libvirt.Connect, d *libvirt.Domain, e *libvirt.DomainEventDeviceRemoved) {
		tell(DeviceRemoved, d, e.DevAlias)
	})
	if err != nil {
		return err
	}
	s.callbacks = append(s.callbacks, id)
	id, err = s.conn.DomainEventDeviceRemovalFailedRegister(nil, func(_ *libvirt.Connect, d *libvirt.Domain, e *libvirt.DomainEventDeviceRemovalFailed) {
		tell(DeviceRemovalFailed, d, e.DevAlias)
	})
	if err != nil {
		return err
	}
	s.callbacks = append(s.callbacks, id)
	return nil
}

// hold keeps the session from being let go of until release. It fails once it
// is closed.
func (s *session) hold() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.closed {
		s.users.Add(1)
	}
	return !s.closed
}

func (s *session) release() { s.users.Done() }

// check tells of a loss that no callback told of.
func (s *session) check() {
	if !s.hold() {
		return
	}
	defer s.release()
	if alive, err := s.conn.IsAlive(); err != nil || !alive {
		s.tellLost()
	}
}

// close lets go of the connection. It may be called twice, and on nil. It does
// not wait for calls under way: those keep it until they return.
func (s *session) close() {
	if s == nil {
		return
	}
	s.mu.Lock()
	closed := s.closed
	s.closed = true
	s.mu.Unlock()
	if closed {
		return
	}
	go func() {
		defer close(s.ended)
		s.users.Wait()
		// Each of them holds the connection; on a dead one they fail, and are
		// forgotten all the same.
		for _, id := range s.callbacks {
			_ = s.conn.DomainEventDeregister(id)
		}
		_ = s.conn.UnregisterCloseCallback()
		_, _ = s.conn.Close()
	}()
}
