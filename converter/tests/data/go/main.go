// Prints what Go makes of values that promblock formats as Go does:
//
//	go run main.go floats     bits in hex, a space, what fmt's %g prints: ../go_floats.txt
//	go run main.go printable  ranges of strconv.IsPrint above ASCII, for src/dump/printable.rs
//
// Made with Go 1.26.8.
package main

import (
	"bufio"
	"fmt"
	"math"
	"math/rand/v2"
	"os"
	"strconv"
)

func main() {
	w := bufio.NewWriter(os.Stdout)
	defer w.Flush()
	switch {
	case len(os.Args) == 2 && os.Args[1] == "floats":
		floats(w)
	case len(os.Args) == 2 && os.Args[1] == "printable":
		printable(w)
	default:
		fmt.Fprintln(os.Stderr, "say floats or printable")
		os.Exit(2)
	}
}

func printable(w *bufio.Writer) {
	start := rune(-1)
	for r := rune(0x80); r <= 0x110000; r++ {
		print := r <= 0x10ffff && strconv.IsPrint(r)
		if print && start < 0 {
			start = r
		}
		if !print && start >= 0 {
			fmt.Fprintf(w, "(%#x, %#x),\n", start, r-1)
			start = -1
		}
	}
}

func floats(w *bufio.Writer) {
	seen := map[uint64]bool{}
	put := func(v float64) {
		b := math.Float64bits(v)
		if seen[b] {
			return
		}
		seen[b] = true
		fmt.Fprintf(w, "%x %g\n", b, v)
	}
	around := func(v float64) {
		for _, v := range []float64{math.Nextafter(v, math.Inf(-1)), v, math.Nextafter(v, math.Inf(1))} {
			put(v)
			put(-v)
		}
	}
	put(math.NaN())
	put(math.Float64frombits(0x7ff0000000000002))
	put(math.Copysign(math.NaN(), -1))
	for e := -324; e <= 308; e++ {
		var v float64
		fmt.Sscanf(fmt.Sprintf("1e%d", e), "%g", &v)
		if e%6 == 0 || e >= -8 && e <= 24 {
			around(v)
		} else {
			put(v)
		}
		if e%4 == 0 {
			put(v * 1.5)
		}
	}
	around(0)
	around(math.Inf(1))
	around(math.MaxFloat64)
	around(math.SmallestNonzeroFloat64)
	around(0x1p-1022)
	around(0x1p53)
	around(0x1p63)
	r := rand.New(rand.NewPCG(1, 2))
	for range 400 {
		put(math.Float64frombits(r.Uint64()))
		put(math.Float64frombits(r.Uint64() >> 12))
	}
	for range 400 { // where the form changes
		put(math.Pow(10, r.Float64()*3-6))
		put(math.Pow(10, r.Float64()*3+4))
		put(math.Floor(math.Pow(10, r.Float64()*18)))
		put(math.Floor(r.Float64()*1e4) / 100)
		put(math.Floor(r.Float64()*1e4) * 1000)
	}
	for n := 999_990.0; n <= 1_000_010; n++ {
		put(n)
		put(n + 0.5)
	}
	for n := 0; n <= 600; n++ {
		put(float64(n))
		put(-float64(n) / 8)
		put(float64(n) / 1e6)
		put(float64(n) / 1e3)
	}
}
