// Package etcdstore keeps records in etcd, for several controllers on one cluster.
package etcdstore

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"
	"go.uber.org/zap"
	"google.golang.org/grpc"

	"github.com/nicferry/nicferry/internal/store"
	"github.com/nicferry/nicferry/internal/store/history"
)

// The defaults of Options.
const (
	DefaultPrefix  = "/nicferry/"
	DefaultTimeout = 5 * time.Second
	// DefaultTerm is as short as a leader can bear whose etcd has a slow disk or elects
	// a leader of its own: with it another one leads some 4 s after one has died.
	DefaultTerm    = 3 * time.Second
	DefaultCompact = 5 * time.Minute
)

// ErrNewer: what is under the prefix was written by a newer version.
var ErrNewer = errors.New("records in etcd too new")

// Options of Open.
type Options struct {
	// Endpoints are the cluster's members, as host:port or with a scheme. At least
	// one is required.
	Endpoints []string
	// Prefix begins all keys. Optional; DefaultPrefix.
	Prefix string
	// TLS is for https. Optional.
	TLS *tls.Config
	// User and Password are for a cluster that wants them. Optional.
	User, Password string
	// Timeout is how long etcd may take to answer, and how long a commit may wait for those
	// before it. Optional; DefaultTimeout.
	Timeout time.Duration
	// Term is how long a leader is one without a word of it; whole seconds. Optional;
	// DefaultTerm.
	Term time.Duration
	// Compact is how often, and after what time, etcd is told to forget what records
	// were before. Optional; DefaultCompact, negative for never.
	Compact time.Duration
	// History is how many commits are kept in memory for watches, since Open.
	// Optional; 0: history.DefaultKeep.
	History int
	// Holder says in leader records who leads, for people and for the other
	// controllers. Optional.
	Holder string
}

func (o *Options) setDefaults() {
	if o.Prefix == "" {
		o.Prefix = DefaultPrefix
	}
	if o.Timeout == 0 {
		o.Timeout = DefaultTimeout
	}
	if o.Term == 0 {
		o.Term = DefaultTerm
	}
	if o.Compact == 0 {
		o.Compact = DefaultCompact
	}
}

// A Store is a store.Store in etcd, which others may share:
//
//	PREFIX schema          the layout's version, in decimal
//	PREFIX r/ KEY          a record
//	PREFIX m/ PROCESS/N    a mark, which each transaction of that process writes anew
//
// A record's revision is etcd's own, that of the key's last change. Commits that come
// while others are under way share a transaction (see together). All watches of a
// process read from one of etcd's, through a log in memory, so that etcd has one
// watcher for each controller, and a slow reader costs it nothing.
type Store struct {
	opts    Options
	client  *clientv3.Client
	records string // begins the keys of records
	log     *history.Log
	marks   *marks
	queue   queue
	// seen is the latest revision that etcd has told of.
	seen atomic.Int64

	ctx     context.Context // ends with Close
	cancel  context.CancelFunc
	running sync.WaitGroup
	once    sync.Once
	closed  error

	mu    sync.Mutex
	terms map[*term]struct{} // nil once closed
}

var _ store.Store = (*Store)(nil)

// Open connects to etcd, which must answer.
func Open(ctx context.Context, opts Options) (*Store, error) {
	opts.setDefaults()
	client, err := clientv3.New(clientv3.Config{
		Endpoints: opts.Endpoints, TLS: opts.TLS, Username: opts.User, Password: opts.Password,
		DialTimeout: opts.Timeout,
		// A member that is away without a word, such as behind a cut cable, is left for
		// another one in time to keep a term.
		DialKeepAliveTime: time.Second, DialKeepAliveTimeout: time.Second, PermitWithoutStream: false,
		MaxCallSendMsgSize: maxRequest,
		DialOptions:        []grpc.DialOption{grpc.WithChainUnaryInterceptor(ofMajority)},
		Logger:             zap.NewNop(), // what it has to say is in the errors
	})
	if err != nil {
		return nil, fmt.Errorf("open store: etcd at %s: %w", strings.Join(opts.Endpoints, ", "), err)
	}
	s := &Store{opts: opts, client: client, records: opts.Prefix + "r/", terms: map[*term]struct{}{}}
	s.ctx, s.cancel = context.WithCancel(context.WithoutCancel(ctx))
	s.marks = &marks{store: s, prefix: opts.Prefix + "m/"}
	now, err := s.begin(ctx)
	if err != nil {
		s.cancel()
		return nil, fmt.Errorf("open store: %w", errors.Join(err, client.Close()))
	}
	s.saw(now)
	s.log = history.New(store.Rev(now), opts.History)
	s.running.Go(func() { s.feed(now) })
	s.running.Go(s.compact)
	return s, nil
}

// ofMajority has a member that has lost the others say so at once: another one is asked
// then, instead of waiting for this one.
func ofMajority(ctx context.Context, method string, req, reply any, conn *grpc.ClientConn, invoke grpc.UnaryInvoker, opts ...grpc.CallOption) error {
	return invoke(clientv3.WithRequireLeader(ctx), method, req, reply, conn, opts...)
}

// schema is the layout's version.
const schema = "1"

// begin makes the layout where there is none, refuses a newer one, and returns etcd's
// revision.
func (s *Store) begin(ctx context.Context) (int64, error) {
	ctx, cancel := context.WithTimeout(ctx, s.opts.Timeout)
	defer cancel()
	key := s.opts.Prefix + "schema"
	resp, err := s.client.Txn(ctx).
		If(clientv3.Compare(clientv3.ModRevision(key), "=", 0)).
		Then(clientv3.OpPut(key, schema)).
		Else(clientv3.OpGet(key)).Commit()
	if err != nil {
		return 0, s.failure(ctx, err)
	}
	if !resp.Succeeded {
		if kvs := resp.Responses[0].GetResponseRange().GetKvs(); len(kvs) == 1 && string(kvs[0].Value) != schema {
			return 0, fmt.Errorf("%s is %q, this version knows %q: %w", key, kvs[0].Value, schema, ErrNewer)
		}
	}
	return resp.Header.GetRevision(), nil
}

// Watch is that of store.Store.
func (s *Store) Watch(ctx context.Context, prefix string, from store.Rev) (store.Watch, error) {
	if err := s.open(ctx); err != nil {
		return nil, fmt.Errorf("watch %.100q: %w", prefix, err)
	}
	if int64(from) > s.seen.Load() { // it may be from another controller
		if _, err := s.get(ctx, prefix, clientv3.WithCountOnly()); err != nil {
			return nil, fmt.Errorf("watch %.100q: %w", prefix, err)
		}
	}
	return s.log.Watch(prefix, from, store.Rev(s.seen.Load()))
}

// Close is that of store.Store. It gives the terms back, if etcd answers.
func (s *Store) Close() error {
	s.once.Do(func() {
		s.log.Close()
		s.mu.Lock()
		terms := s.terms
		s.terms = nil
		s.mu.Unlock()
		ctx, cancel := context.WithTimeout(context.Background(), time.Second)
		defer cancel()
		for t := range terms {
			t.end()
			_ = s.revoke(ctx, t.lease) // else it ends by itself
		}
		s.marks.close(ctx)
		s.queue.close()
		s.cancel()
		s.running.Wait()
		if err := s.client.Close(); err != nil && !errors.Is(err, context.Canceled) {
			s.closed = fmt.Errorf("close store: %w", err)
		}
	})
	return s.closed
}

// saw notes a revision that etcd has told of.
func (s *Store) saw(rev int64) {
	for {
		was := s.seen.Load()
		if rev <= was || s.seen.CompareAndSwap(was, rev) {
			return
		}
	}
}

// open returns why nothing can be asked of the store.
func (s *Store) open(ctx context.Context) error {
	if s.ctx.Err() != nil {
		return store.ErrClosed
	}
	return ctx.Err()
}
