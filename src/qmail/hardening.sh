#!/bin/sh
# hardening.sh PROGRAM...: is each built as the Makefile's HARDENING asks for? A line a fault, exit code 1.
#
# What a compiler option did is looked for in what it leaves behind. -D_FORTIFY_SOURCE=3 and 2 leave the same
# behind: tests/test_build.py sees to it that every source is compiled with 3.
set -u
LC_ALL=C
export LC_ALL
faults=0

fault() {
	echo "$program: $1"
	faults=1
}

for program; do
	if ! head=$(readelf -hW "$program"); then
		fault "readelf (of binutils) can't read it"
		continue
	fi
	segments=$(readelf -lW "$program")
	dynamic=$(readelf -dW "$program")
	# One without an interpreter is linked statically, against musl: that has no checked functions and no shadow stack, and
	# calls the stack protector itself, which so shows nothing of ours.
	case $segments in *INTERP*) lean='' ;; *) lean=yes ;; esac
	symbols=$(readelf --dyn-syms -W "$program")
	notes=$(readelf -nW "$program")
	case $dynamic in *"Flags: "*PIE*) ;; *) fault "is not position-independent (-fPIE -pie)" ;; esac
	case $segments in *GNU_RELRO*) ;; *) fault "has no RELRO (-Wl,-z,relro)" ;; esac
	case $dynamic in *BIND_NOW* | *"Flags: NOW"*) ;; *) fault "binds symbols late (-Wl,-z,now)" ;; esac
	case $segments in
	*RWE*) fault "may have code in its stack (-Wl,-z,noexecstack)" ;;
	*GNU_STACK*) ;;
	*) fault "may have code in its stack (-Wl,-z,noexecstack)" ;;
	esac
	case $lean$symbols in yes* | *__stack_chk_fail*) ;; *) fault "has no stack protector (-fstack-protector-strong)" ;; esac
	case $lean$symbols in yes* | *_chk@*) ;; *) fault "calls no checked functions (-D_FORTIFY_SOURCE with -O2)" ;; esac
	case $head in
	*X86-64*)
		case $lean$notes in yes* | *SHSTK*) ;; *) fault "is not marked for a shadow stack (-Wl,-z,shstk)" ;; esac
		case $(objdump --disassemble=main "$program") in
		*endbr64*) ;;
		*) fault "has no marks for indirect branches (-fcf-protection=full)" ;;
		esac
		;;
	esac
done
exit $faults
