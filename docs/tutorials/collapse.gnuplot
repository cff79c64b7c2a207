# gnuplot collapse.gnuplot, beside log-triplet/ and log-undivided/: writes collapse.svg
set datafile separator ','
set terminal svg size 900,340 font 'sans,13' background '#ffffff'
set output 'collapse.svg'
set multiplot layout 1,2
set border 3 lc rgb '#777777'
set tics nomirror
set grid ytics lc rgb '#dddddd'
set xlabel 'epoch'
set key bottom right
set title 'training loss'
set yrange [0:*]
plot 'log-undivided/log.csv' skip 1 using 1:5 with lines lw 3 lc rgb '#c0392b' title 'undivided', \
     'log-triplet/log.csv' skip 1 using 1:5 with lines lw 3 lc rgb '#2471a3' title 'triplet', \
     0.5 with lines dt 2 lc rgb '#777777' title 'the margin'
set title 'r-precision, validation'
set key center right
set yrange [0.24:0.36]
plot 'log-undivided/log.csv' skip 1 using 1:7 with lines lw 3 lc rgb '#c0392b' title 'undivided', \
     'log-triplet/log.csv' skip 1 using 1:7 with lines lw 3 lc rgb '#2471a3' title 'triplet'
unset multiplot
