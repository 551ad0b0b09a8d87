package etcdstore

import (
	"context"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/nicferry/nicferry/internal/store"
)

// feedPause is the time between two tries to watch etcd.
const feedPause = 200 * time.Millisecond

// feed fills the log with what changes after a revision, until Close.
func (s *Store) feed(at int64) {
	for s.ctx.Err() == nil {
		at = s.follow(at)
		select {
		case <-s.ctx.Done():
		case <-time.After(feedPause):
		}
	}
}

// follow fills the log by one of etcd's watches and returns up to where it came. A
// member that has lost the others ends it, and another one is asked.
func (s *Store) follow(at int64) int64 {
	ctx, cancel := context.WithCancel(clientv3.WithRequireLeader(s.ctx))
	defer cancel()
	watch := s.client.Watch(ctx, s.records, clientv3.WithPrefix(), clientv3.WithRev(at+1), clientv3.WithProgressNotify())
	for resp := range watch {
		if resp.CompactRevision != 0 {
			return s.restart(at)
		}
		if resp.Err() != nil {
			return at
		}
		s.saw(resp.Header.GetRevision())
		if resp.IsProgressNotify() {
			at = resp.Header.GetRevision()
			continue
		}
		if commits := s.commits(resp.Events); len(commits) > 0 {
			s.log.Append(commits...)
			last := commits[len(commits)-1]
			at = int64(last[0].Rev)
		}
	}
	return at
}

// restart is for when etcd has forgotten what came after a revision: all watches have
// fallen behind.
func (s *Store) restart(at int64) int64 {
	resp, err := s.get(s.ctx, "", clientv3.WithCountOnly())
	if err != nil {
		return at
	}
	now := resp.Header.GetRevision()
	s.log.Restart(store.Rev(now))
	return now
}

// commits are events by the revision that they have in common.
func (s *Store) commits(events []*clientv3.Event) [][]store.Event {
	var commits [][]store.Event
	for _, e := range events {
		event := store.Event{Record: s.record(e.Kv), Gone: e.Type == clientv3.EventTypeDelete}
		if event.Gone {
			event.Value = nil
		}
		if n := len(commits); n > 0 && commits[n-1][0].Rev == event.Rev {
			commits[n-1] = append(commits[n-1], event)
		} else {
			commits = append(commits, []store.Event{event})
		}
	}
	return commits
}

// compact has etcd forget from time to time what was longer ago than that. Several who
// do so do no harm, and neither does one that etcd does not let.
func (s *Store) compact() {
	if s.opts.Compact < 0 {
		return
	}
	tick := time.NewTicker(s.opts.Compact)
	defer tick.Stop()
	for then := int64(0); ; then = s.seen.Load() {
		select {
		case <-s.ctx.Done():
			return
		case <-tick.C:
		}
		if then > 0 {
			ctx, cancel := context.WithTimeout(s.ctx, s.opts.Timeout)
			_, _ = s.client.Compact(ctx, then)
			cancel()
		}
	}
}
