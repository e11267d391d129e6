/* A stand-in for spamc.c: the lines that spamc-zap.patch holds on to, just enough to run. */
/* clang-format off */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <getopt.h>
#define EX_OK 0
#define EX_ISSPAM 1
#define EX_NOTSPAM 0
#define EX_TOOBIG 866
#define EX_USAGE 64
#define LOG_ERR 3
#define spamc_optarg optarg
#define spamc_getopt_long getopt_long
struct message { float score, threshold; int is_spam; };
static void libspamc_log(int flags, int level, char *msg, ...) { fprintf(stderr, "%s %d %d\n", msg, flags, level); }
int message_write(int out_fd, struct message *m);
int message_write(int out_fd, struct message *m) { return out_fd >= 0 && m ? 1 : -1; }

/* safe fallback defaults to on now - CRH */
int flags = 0;

/* global to control whether we should exit(0)/exit(1) on ham/spam */
int use_exit_code = 0;

/* Aug 14, 2002 bj: global to hold -e command */
char **exec_argv;

static void
usg(char *str)
{
    printf("%s", str);
}

static void
print_usage(void)
{
    usg("Usage: spamc [options] [-e command [args]] < message\n");
    usg("  -E, --exitcode      Filter as normal, and set an exit code.\n");
    usg("  -h, --help          Print this help message and exit.\n");
}

int
read_args(int argc, char **argv)
{
    const char *opts = "-BcrR46d:e:fyp:n:t:s:u:L:C:xXzSHU:ElhVKF:0:1:2";
    int opt;
    int ret = EX_OK;
    int longind = 1;

    static struct option longoptions[] = {
       { "exitcode", no_argument, 0, 'E' },
       { "compress", no_argument, 0, 'z' },
       { 0, 0, 0, 0} /* last element _must_ be all zeroes */
    };
    
    while ((opt = spamc_getopt_long(argc, argv, opts, longoptions, 
                &longind)) != -1)
    {
        switch (opt)
        {
            case 'E':
            {
                use_exit_code = 1;
                break;
            }
            case 'h':
            {
                print_usage();
                exit(EX_OK);
            }
            case 'V':
            {
                return 75;
            }
            case '?':
            {
                print_usage();
                return EX_USAGE;
            }
        }
    }
    return ret;
}

int
main(int argc, char *argv[])
{
    int ret;
    int result;
    struct message m;

    if ((ret = read_args(argc, argv)) != EX_OK)
        goto finish;
    sscanf(getenv("SPAMD_SAYS"), "%f / %f", &m.score, &m.threshold);
    m.is_spam = m.score >= m.threshold ? EX_ISSPAM : EX_NOTSPAM;
    if (getenv("TOOBIG")) m.is_spam = EX_TOOBIG;
    if (message_write(1, &m) >= 0) {
        result = m.is_spam;
        memset(&m, 0, sizeof m);
        if (use_exit_code && result != EX_TOOBIG) {
            ret = result;
        }
    }
    
finish:
    return ret;
}
