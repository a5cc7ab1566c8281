// Command tessera says how many entries a second Tessera's POSIX log takes: tessera FOLDER CLIENTS SECONDS BYTES.
//
// Each client adds an entry of BYTES, waits until it is durable and has its index, and adds the next. Proof and checkpoint, which our
// engine's clients get with the index, they do not wait for; nor does the log look for duplicates. Batches close after 5 ms, a checkpoint
// is published every 100 ms, the least that is allowed.
package main

import (
	"context"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"log"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/transparency-dev/tessera"
	"github.com/transparency-dev/tessera/storage/posix"
	"golang.org/x/mod/sumdb/note"
)

const (
	batchEntries       = 1024
	batchAge           = 5 * time.Millisecond
	checkpointInterval = 100 * time.Millisecond
)

func main() {
	if len(os.Args) != 5 {
		log.Fatal("tessera FOLDER CLIENTS SECONDS BYTES")
	}
	clients, seconds, size := number(os.Args[2]), number(os.Args[3]), number(os.Args[4])
	if size < 8 {
		log.Fatal("an entry has at least 8 bytes: its number")
	}
	ctx := context.Background()
	appender, shutdown := open(ctx, os.Args[1])
	cpu, written := used()
	latencies, took := measure(ctx, appender, clients, time.Duration(seconds)*time.Second, size)
	// What was taken and is not in a checkpoint yet is part of the work.
	if err := shutdown(ctx); err != nil {
		log.Fatalf("cannot end: %v", err)
	}
	cpuAfter, writtenAfter := used()
	if len(latencies) == 0 {
		log.Fatal("nothing was added in this time")
	}
	slices.Sort(latencies)
	entries := float64(len(latencies))
	percentile := func(p int) float64 { return latencies[(len(latencies)-1)*p/100].Seconds() * 1e3 }
	fmt.Printf("| Tessera | %d | %.0f | %.2f ms | %.2f ms | %.3f ms | %.1f KiB |\n", clients, entries/took.Seconds(), percentile(50),
		percentile(99), (cpuAfter-cpu).Seconds()*1e3/entries, float64(writtenAfter-written)/1024/entries)
}

// open makes a log that is empty.
func open(ctx context.Context, folder string) (*tessera.Appender, func(context.Context) error) {
	private, _, err := note.GenerateKey(rand.Reader, "bench.example")
	if err != nil {
		log.Fatalf("cannot make a key: %v", err)
	}
	signer, err := note.NewSigner(private)
	if err != nil {
		log.Fatalf("cannot sign: %v", err)
	}
	driver, err := posix.New(ctx, posix.Config{Path: folder})
	if err != nil {
		log.Fatalf("cannot make a log in %s: %v", folder, err)
	}
	options := tessera.NewAppendOptions().WithCheckpointSigner(signer).WithBatching(batchEntries, batchAge).
		WithCheckpointInterval(checkpointInterval)
	appender, shutdown, _, err := tessera.NewAppender(ctx, driver, options)
	if err != nil {
		log.Fatalf("cannot append: %v", err)
	}
	return appender, shutdown
}

// measure returns how long each entry took, and all together.
func measure(ctx context.Context, appender *tessera.Appender, clients int, limit time.Duration, size int) ([]time.Duration, time.Duration) {
	var next atomic.Uint64
	var all []time.Duration
	var mutex sync.Mutex
	var group sync.WaitGroup
	begun := time.Now()
	for range clients {
		group.Go(func() {
			var latencies []time.Duration
			for time.Since(begun) < limit {
				data := make([]byte, size)
				binary.BigEndian.PutUint64(data, next.Add(1))
				sent := time.Now()
				if _, err := appender.Add(ctx, tessera.NewEntry(data))(); err != nil {
					if errors.Is(err, tessera.ErrPushback) {
						time.Sleep(batchAge)
						continue
					}
					log.Fatalf("an entry was not added: %v", err)
				}
				latencies = append(latencies, time.Since(sent))
			}
			mutex.Lock()
			defer mutex.Unlock()
			all = append(all, latencies...)
		})
	}
	group.Wait()
	return all, time.Since(begun)
}

// used returns the processor time of this process, and the bytes it has written to disk as the kernel counts them.
func used() (time.Duration, uint64) {
	var usage syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &usage); err != nil {
		log.Fatalf("cannot ask for the processor time: %v", err)
	}
	cpu := time.Duration(usage.Utime.Nano() + usage.Stime.Nano())
	io, err := os.ReadFile("/proc/self/io")
	if err != nil {
		log.Fatalf("cannot ask for the bytes written: %v", err)
	}
	for line := range strings.Lines(string(io)) {
		if bytes, found := strings.CutPrefix(line, "write_bytes: "); found {
			return cpu, uint64(number(strings.TrimSpace(bytes)))
		}
	}
	return cpu, 0
}

func number(text string) int {
	value, err := strconv.Atoi(text)
	if err != nil || value < 0 {
		log.Fatalf("%q is not a number", text)
	}
	return value
}
